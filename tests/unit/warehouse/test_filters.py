"""A goal's filter: what may be written, and the comparisons that it becomes."""

import pytest

from huntaze_pipeline.warehouse.filters import FilterError, read


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("value > 5 and platform = 'email'",
         [(0, "value", ">", None, 5.0), (0, "platform", "=", "email", None)]),
        ("5 <= value", [(0, "value", ">=", None, 5.0)]),
        ("value between -1 and 2", [(0, "value", ">=", None, -1.0), (0, "value", "<=", None, 2.0)]),
        ("platform in ('email', 'tiktok')",
         [(0, "platform", "=", "email", None), (1, "platform", "=", "tiktok", None)]),
        ("platform not in ('email', 'tiktok')",
         [(0, "platform", "<>", "email", None), (0, "platform", "<>", "tiktok", None)]),
        ("not (currency is null or properties.gift = true)",
         [(0, "currency", "exists", None, None), (0, "properties.gift", "<>", "true", None)]),
        ("not value between 1 and 2", [(0, "value", "<", None, 1.0), (1, "value", ">", None, 2.0)]),
    ],
)  # fmt: skip
def test_a_filter_becomes_alternatives_of_comparisons(text, expected):
    assert [tuple(test) for test in read(text)] == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("value >", "is no condition"),
        ("value > 5; drop table x", "write one condition"),
        ("select 1", "not allowed"),
        ("lower(platform) = 'x'", "no field of an event"),
        ("spent > 5", "no field of an event"),
        ("properties.a.b = 1", "no field of an event"),
        ("value > 'much'", "value is a number"),
        ("value > currency", "neither a number"),
        ("platform like 'e%'", "not allowed"),
        ("value in (select 1)", "needs a list"),
        (" and ".join(f"(value = {n} or value = -{n})" for n in range(7)), "more than 64"),
        ("", "write one condition"),
    ],
)
def test_everything_else_is_refused_with_the_reason(text, reason):
    with pytest.raises(FilterError, match=reason):
        read(text)
