from pathlib import Path

import pytest

from huntaze_pipeline.errors import ModelError
from huntaze_pipeline.warehouse import declarations, rates
from huntaze_pipeline.warehouse.goals import declared


def goals(folder: Path, windows: str) -> Path:
    (folder / "goals.yaml").write_text(
        f"goals:\n  purchase:\n    events: [purchase]\n    windows: {windows}\n"
    )
    return folder


def test_windows_become_seconds(tmp_path: Path) -> None:
    found = declared(goals(tmp_path, "{default: {clicked: 5d}, email: {opened: 90m}}")).windows
    assert [tuple(window) for window in found] == [
        ("purchase", "*", "clicked", 432_000),
        ("purchase", "email", "opened", 5_400),
    ]


def test_without_a_file_nothing_earns_credit(tmp_path: Path) -> None:
    assert declared(tmp_path).windows == ()


@pytest.mark.parametrize(
    "windows",
    ["{default: {clicked: 5}}", "{fax: {clicked: 5d}}", "{default: {seen: 5d}}", "[", "3"],
)
def test_a_fault_names_the_file(tmp_path: Path, windows: str) -> None:
    with pytest.raises(ModelError, match=r"goals\.yaml"):
        declared(goals(tmp_path, windows))


FAULTY = """
goals:
  purchase:
    events: [purchase, tipp]
    filter: "value >"
    value: {amount: -1, currency: EURO}
    model: markov
    windows:
      fax: {clicked: 5d}
      default: {clicked: 5, seen: 1d}
  lonely:
    events: [redeemed]
"""


def test_every_fault_is_told_at_once_with_line_and_column(tmp_path: Path) -> None:
    (tmp_path / "goals.yaml").write_text(FAULTY)
    (tmp_path / rates.FILE).write_text("rates:\n  - {base: EUR, quote: EUR, day: x, rate: 0}\n")
    with pytest.raises(ModelError) as caught:
        declarations.load(tmp_path)
    told = [(p.where.split("/")[-1], p.what.split(":")[0]) for p in caught.value.problems]

    assert told == [
        ("goals.yaml:4:24", "goals.purchase.events.1"),
        ("goals.yaml:5:13", "goals.purchase.filter"),
        ("goals.yaml:6:21", "goals.purchase.value.amount"),
        ("goals.yaml:6:35", "goals.purchase.value.currency"),
        ("goals.yaml:7:12", "goals.purchase.model"),
        ("goals.yaml:9:12", "goals.purchase.windows.fax"),
        ("goals.yaml:10:26", "goals.purchase.windows.default.clicked"),
        ("goals.yaml:10:35", "goals.purchase.windows.default.seen"),
        ("goals.yaml:12:5", "goals.lonely"),
        ("rates.yaml:2:34", "rates.0.day"),
        ("rates.yaml:2:43", "rates.0.rate"),
    ]


def test_a_goal_without_windows_or_a_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "goals.yaml").write_text("goals: {vip: {events: [tip]}}")
    with pytest.raises(ModelError, match="nothing could ever get credit"):
        declared(tmp_path)


def test_the_goal_purchase_is_what_fans_paid(tmp_path: Path) -> None:
    (tmp_path / "goals.yaml").write_text("goals: {purchase: {events: [redeemed], named: true}}")
    with pytest.raises(ModelError, match="purchase is what fans paid"):
        declared(tmp_path)


def test_without_a_file_purchases_and_redemptions_count_still(tmp_path: Path) -> None:
    found = declared(tmp_path)
    assert [(row[0], row[1], row[4]) for row in found.goals] == [
        ("purchase", "purchase", False), ("purchase", "tip", False), ("redeemed", "redeemed", True),
    ]  # fmt: skip


def test_a_pair_of_currencies_has_one_rate_a_day(tmp_path: Path) -> None:
    line = "  - {base: EUR, quote: USD, day: 2026-03-01, rate: 1.25}\n"
    (tmp_path / rates.FILE).write_text("rates:\n" + line)
    assert [row[:2] + row[3:] for row in rates.load(tmp_path)] == [("EUR", "USD", 1.25)]
    (tmp_path / rates.FILE).write_text("rates:\n" + line + line)
    with pytest.raises(ModelError, match=r"rates\.yaml:3:5: EUR to USD has two rates"):
        rates.load(tmp_path)
