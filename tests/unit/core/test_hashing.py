import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from huntaze_pipeline import hashing


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_a_fraction_lies_in_the_unit_interval_and_repeats(parts: list[str]) -> None:
    first = hashing.fraction(*parts)

    assert 0 <= first < 1
    assert first == hashing.fraction(*parts)


def test_fractions_of_many_fans_spread_evenly() -> None:
    below = sum(hashing.fraction("experiment", f"fan-{n}") < 0.3 for n in range(20_000))

    assert abs(below / 20_000 - 0.3) < 0.01


def test_another_process_computes_the_same() -> None:
    code = (
        "from huntaze_pipeline import hashing as h;print(h.fraction('a', 'b'), h.identifier('x'))"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert other.stdout.split() == [str(hashing.fraction("a", "b")), str(hashing.identifier("x"))]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=4))
def test_a_name_is_the_identifier_as_text(parts: list[str]) -> None:
    assert hashing.name(*parts) == str(hashing.identifier(*parts))


def test_parts_do_not_run_together() -> None:
    assert hashing.identifier("ab", "c") != hashing.identifier("a", "bc")


def test_content_ignores_the_order_of_keys_but_not_of_lists() -> None:
    assert hashing.content({"a": 1, "b": [1, 2]}) == hashing.content({"b": [1, 2], "a": 1})
    assert hashing.content([1, 2]) != hashing.content([2, 1])
