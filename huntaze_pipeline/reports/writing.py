"""How values are written for people: counts, money, shares, days. The same on screen and paper."""

from datetime import UTC, date, datetime
from typing import Any

from huntaze_pipeline.reports.figures import Row, Table
from huntaze_pipeline.warehouse.reports import Column

NOTHING = "–"
MINUS = "−"
SIGNS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "INR": "₹", "BRL": "R$", "CAD": "CA$",
         "AUD": "A$"}  # fmt: skip
CENTLESS = frozenset({"JPY", "KRW", "CLP", "VND", "ISK"})
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MICROS = 1_000_000
FIGURES = frozenset({"count", "number", "money", "percent", "change"})
"""Formats that stand right-aligned under each other."""


def cell(column: Column, row: Row, table: Table) -> str:
    """Write one cell of a table."""
    return value(column, row.get(column.name), currency(row, table))


def currency(row: Row, table: Table) -> str:
    """Return the currency of a row's money."""
    return str(row.get("currency") or table.currency)


def value(column: Column, found: Any, money_in: str = "USD") -> str:
    """Write one value in its column's format."""
    if found is None:
        return NOTHING
    if column.format == "money":
        return money(float(found) / MICROS, money_in)
    plain = _PLAIN.get(column.format)
    return plain(found) if plain is not None else str(found)


def count(found: float | None) -> str:
    """Write a whole number with thousands separators."""
    return NOTHING if found is None else _signed(f"{found:,.0f}")


def number(found: float | None) -> str:
    """Write a measure with the digits that it needs."""
    if found is None:
        return NOTHING
    size = abs(found)
    if size < 0.1:
        return _signed(f"{found:.3g}")
    return _signed(f"{found:,.{0 if size >= 100 else 1 if size >= 10 else 2}f}")


def money(found: float | None, money_in: str = "USD") -> str:
    """Write an amount in units of its currency, without cents from a thousand on."""
    if found is None:
        return NOTHING
    whole = abs(found) >= 1000 or money_in in CENTLESS
    text = f"{abs(found):,.0f}" if whole else f"{abs(found):,.2f}"
    minus = MINUS if found < 0 and text.strip("0.,") else ""
    return f"{minus}{sign(money_in)}{text}"


def sign(money_in: str) -> str:
    """Return what stands before an amount."""
    return SIGNS.get(money_in, f"{money_in} ")


def percent(part: float | None, whole: float | None = 1.0) -> str:
    """Write a share, with as many digits as it needs."""
    if part is None or not whole:
        return NOTHING
    share = part / whole
    digits = 0 if share == 0 or abs(share) >= 0.995 else 1 if abs(share) >= 0.01 else 2
    return _signed(f"{share:,.{digits}%}")


def change(found: float | None) -> str:
    """Write a relative change with its sign."""
    if found is None:
        return NOTHING
    digits = 0 if abs(found) >= 0.1 else 1
    return _signed(f"{found:+,.{digits}%}")


def day(found: date) -> str:
    """Write a date, such as 3 Mar 2026."""
    return f"{found.day} {MONTHS[found.month - 1]} {found.year}"


def month(found: date) -> str:
    """Write a month, such as Mar 2026."""
    return f"{MONTHS[found.month - 1]} {found.year}"


def instant(found: datetime) -> str:
    """Write a moment in UTC, such as 3 Mar 2026, 12:05 UTC."""
    aware = found.astimezone(UTC)
    return f"{day(aware.date())}, {aware:%H:%M} UTC"


def duration(seconds: float) -> str:
    """Write a length of time in its largest whole unit, such as 3 days."""
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:,.0f} {unit}{'' if seconds == size else 's'}"
    return f"{seconds:,.0f} seconds"


def words(name: str) -> str:
    """A key as people read it."""
    return name.replace("_", " ")


def compact(found: float, style: str = "number", money_in: str = "USD") -> str:
    """Write an axis label as short as it can be: 12k, $1.5M, 5 %."""
    if style in ("percent", "change"):
        text = f"{found * 100:.10g}"
        return _signed(f"{float(text):,.6g}%")
    size, head = abs(found), sign(money_in) if style == "money" else ""
    for unit, mark in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if size >= unit:
            return f"{MINUS if found < 0 else ''}{head}{size / unit:.4g}{mark}"
    return f"{MINUS if found < 0 else ''}{head}{size:.4g}"


def _signed(text: str) -> str:
    """A real minus sign, and none before a zero."""
    if text.startswith("-") and not any(c in "123456789" for c in text):
        return text[1:]
    return text.replace("-", MINUS)


def _flag(found: Any) -> str:
    return "yes" if found else "no"


def _weekday(found: Any) -> str:
    return WEEKDAYS[(int(found) - 1) % 7]


def _hour(found: Any) -> str:
    return f"{int(found):02d}"


_PLAIN = {
    "count": count, "number": number, "percent": percent, "change": change, "date": day,
    "month": month, "instant": instant, "flag": _flag, "weekday": _weekday, "hour": _hour,
}  # fmt: skip
