"""A backtest as a person reads it: text with a chart of days, JSON, and a picture."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from huntaze_pipeline.campaigns.eta import about
from huntaze_pipeline.reports import drawing, image
from huntaze_pipeline.reports.figures import Table
from huntaze_pipeline.warehouse.reports import Chart, Column

_BAR = 40
_FANS = 6
"""Fans that the text names of a day; JSON names all."""
_DAYS = 100
"""Days that the text draws one by one; a longer period is drawn by week."""


def as_json(summary: Mapping[str, Any]) -> str:
    """Return the summary for machines."""
    return json.dumps(summary, default=_plain, ensure_ascii=False, indent=2)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date | datetime) else str(value)


def told(kind: str, found: Mapping[str, Any]) -> str:
    """Return the summary of a kind of rule (its folder) as lines for a terminal."""
    return {"automations": text, "campaigns": mailing, "segments": tides}[kind](found)


def text(found: Mapping[str, Any]) -> str:
    """Return the summary as lines for a terminal."""
    return "\n".join(
        [
            *_head(found), *_days(found["days"]), *_queues(found["queues"]), *_others(found),
            *_bought(found["bought"]), *_live(found["live"]), *_sample(found["sample"]),
        ]
    )  # fmt: skip


def _head(found: Mapping[str, Any]) -> Iterator[str]:
    yield f"{found['rule']}: {found['from']:%Y-%m-%d %H:%M} to {found['to']:%Y-%m-%d %H:%M} UTC"
    yield (
        f"{found['events']:,} events in question, {found['matched']:,} met the conditions,"
        f" {found['entered']:,} entries"
    )
    yield f"{found['messages']:,} messages to {found['fans']:,} fans"
    for title, counts in (
        ("not sent", found["blocked"]), ("later", found["held"]), ("steps", found["steps"]),
    ):  # fmt: skip
        if counts:
            yield f"  {title:<9}" + ", ".join(f"{name} {n:,}" for name, n in counts.items())


def mailing(found: Mapping[str, Any]) -> str:
    """Return a campaign's summary as lines for a terminal."""
    return "\n".join(
        [
            *_mailed(found), *_days(found["days"]), *_queues(found["queues"]), *_others(found),
            *_bought(found["bought"]), *_live(found["live"]), *_sample(found["sample"]),
        ]
    )  # fmt: skip


def _mailed(found: Mapping[str, Any]) -> Iterator[str]:
    yield f"{found['rule']}: {found['from']:%Y-%m-%d %H:%M} to {found['to']:%Y-%m-%d %H:%M} UTC"
    for row in found["occurrences"]:
        outside = "".join(f", {why} {n:,}" for why, n in row["outside"].items())
        yield (
            f"  {row['at']:%Y-%m-%d %H:%M} {row['creator_id']}: {row['audience']:,} of"
            f" {row['fans']:,} fans{outside and ' (not meant: ' + outside[2:] + ')'}"
        )
    yield f"{found['messages']:,} messages to {found['fans']:,} fans"
    if found["waiting"]:
        yield f"  {found['waiting']:,} would wait for the winner of the test"
    for title, counts in (
        ("arms", found["arms"]), ("not sent", found["blocked"]), ("later", found["held"]),
    ):  # fmt: skip
        if counts:
            yield f"  {title:<9}" + ", ".join(f"{name} {n:,}" for name, n in counts.items())


def tides(found: Mapping[str, Any]) -> str:
    """Return a segment's summary as lines for a terminal."""
    size = found["size"]
    lines = [
        f"{found['segment']}: {found['from']:%Y-%m-%d %H:%M} to {found['to']:%Y-%m-%d %H:%M} UTC",
        f"{size['first']:,} fans at first, {found['entered']:,} came, {found['left']:,} left,"
        f" {size['last']:,} at last",
        "",
        f"{'until':<16}  {'fans':>8}  {'came':>7}  {'left':>7}",
    ]
    top = max((row["size"] for row in found["days"]), default=0) or 1
    for row in found["days"]:
        lines.append(
            f"{row['at']:%Y-%m-%d %H:%M}  {row['size']:>8,}  {len(row['entered']):>7,}"
            f"  {len(row['left']):>7,}  {'█' * round(row['size'] / top * _BAR)}"
        )
        lines += [f"    + {_names(row['entered'])}"] if row["entered"] else []
        lines += [f"    - {_names(row['left'])}"] if row["left"] else []
    live = found["live"]
    if live is not None:
        lines += [
            "",
            f"against live at last: {live['same']:,} the same,"
            f" {len(live['only_live']):,} only live, {len(live['only_here']):,} only here",
        ]
        lines += [f"  only live: {_names(live['only_live'])}"] if live["only_live"] else []
        lines += [f"  only here: {_names(live['only_here'])}"] if live["only_here"] else []
    return "\n".join(lines)


def _names(fans: Sequence[str]) -> str:
    more = f" and {len(fans) - _FANS:,} more" if len(fans) > _FANS else ""
    return ", ".join(fans[:_FANS]) + more


def _days(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not rows:
        return
    counts: Counter[str] = Counter()
    for row in rows:
        counts[row["day"]] += row["messages"]
    days, unit = sorted(counts), "day"
    if len(days) > _DAYS:
        counts, unit = _weeks(counts), "week from"
        days = sorted(counts)
    top = max(counts.values())
    yield f"\nmessages a {unit.split()[0]}, all accounts"
    for day in days:
        yield f"  {day} {counts[day]:>8,} {'█' * max(1, round(counts[day] / top * _BAR))}"


def _weeks(counts: Counter[str]) -> Counter[str]:
    found: Counter[str] = Counter()
    for day, n in counts.items():
        at = date.fromisoformat(day)
        found[(at - timedelta(days=at.weekday())).isoformat()] += n
    return found


def _queues(queues: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not queues:
        return
    yield "\naccounts           messages   limit       busiest day           drained  longest wait"
    for q in queues:
        limit = f"{q['count']} / {q['window_s']:g} s"
        late = f"   {q['late']:,} would have expired in the queue" if q["late"] else ""
        yield (
            f"  {q['account_id']:<16} {q['messages']:>8,}   {limit:<11}"
            f" {q['busiest']} {q['peak']:>8,}  {about(q['drain']):>10}"
            f"   {about(q['longest']) if q['longest'] else 'none':>12}{late}"
        )


def _others(found: Mapping[str, Any]) -> Iterator[str]:
    overlap = found["overlap"]
    if overlap["with"]:
        yield f"\nlive messages to the same fans within {overlap['within_hours']} h"
        for row in overlap["with"]:
            yield (
                f"  {row['source']:<32} near {row['messages']:,} of these messages,"
                f" {row['fans']:,} fans"
            )


def _bought(bought: Mapping[str, Any]) -> Iterator[str]:
    for row in bought["purchases"]:
        yield (
            f"\nwithin {bought['within_days']} days {row['fans']:,} of these fans made"
            f" {row['purchases']:,} purchases, {row['value']:,.2f} {row['currency'] or ''}"
        )
    if bought["purchases"]:
        yield f"  ({bought['label']})"


def _live(live: Mapping[str, Any] | None) -> Iterator[str]:
    if live is None:
        return
    yield (
        f"\nagainst what live decided: {live['same']:,} the same, {live['different']:,} different,"
        f" {live['only_live']:,} only live, {live['only_here']:,} only here"
    )
    if live["other_version"]:
        yield f"  {live['other_version']:,} were decided by another version of the rule"
    for example in live["examples"]:
        for name, (here, there) in example["fields"].items():
            yield f"  {example['id']} {example['fan_id']} {name}: here {here!r}, live {there!r}"


def _sample(sample: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if sample:
        yield "\nthe first messages"
    for row in sample:
        line = " ".join(str(row["content"]).split())
        short = line if len(line) <= 90 else line[:89] + "…"
        yield f"  {row['not_before']:%Y-%m-%d %H:%M} {row['fan_id']} by {row['platform']}: {short}"


def picture(found: Mapping[str, Any], kind: str) -> bytes:
    """Return the messages per day and account as a picture, `svg` or `png`."""
    columns = (
        Column("day", "date", "Day"), Column("messages", "count", "Messages"),
        Column("account_id", "text", "Account"),
    )  # fmt: skip
    rows = [{**row, "day": date.fromisoformat(row["day"])} for row in found["days"]]
    title = f"{found['rule']}: messages a day"
    chart = Chart(
        kind="columns", x="day", y=["messages"], colour="account_id", stacked=True, title=title
    )
    drawn = drawing.draw(chart, Table(columns, rows), 900.0)
    return drawn.svg(title).encode() if kind == "svg" else image.png(drawn, title)
