"""A plan for people: as text for a terminal, as Markdown for a pull request."""

from collections.abc import Iterator, Sequence

from huntaze_pipeline.rehearsal.differences import shown
from huntaze_pipeline.rehearsal.forecast import Change, Forecast
from huntaze_pipeline.rehearsal.proposal import Proposal

_SIGNS = {"create": "+", "change": "~", "stop": "-", "keep": "=", "follow": "~"}
_WORDS = {
    "create": "new", "change": "changed", "stop": "stopped", "keep": "kept as it is",
    "follow": "changes along",
}  # fmt: skip
_MANY = 12


def text(plan: Proposal) -> str:
    """Return the plan for a terminal."""
    lines: list[str] = []
    for group in _alike(plan.forecasts):
        first = group[0]
        lines.append(_names(group))
        for change in first.changes:
            lines.append(f"  {_SIGNS[change.action]} {_name(change)}: {_WORDS[change.action]}")
            lines += [f"      {line}" for line in _details(change)]
        lines += [] if first.changes else ["  nothing changes"]
    return "\n".join([*lines, _sum(plan)])


def markdown(plan: Proposal) -> str:
    """Return the plan for a pull request."""
    lines = [f"## Rules plan: {_sum(plan)}", ""]
    for group in _alike(plan.forecasts):
        first = group[0]
        if not first.changes:
            continue
        lines += [f"### {_names(group)}", "", "| rule | what | consequences |", "|---|---|---|"]
        for change in first.changes:
            details = "<br>".join(_cell(line) for line in _consequences(change)) or "–"
            lines.append(f"| {_name(change, '`')} | {_WORDS[change.action]} | {details} |")
        lines.append("")
        for change in first.changes:
            if change.differences:
                lines += [f"<details><summary><code>{change.kind}/{change.id}</code></summary>", ""]
                lines += ["```diff", *_diff(change), "```", "", "</details>", ""]
    return "\n".join(lines).rstrip() + "\n"


def _name(change: Change, mark: str = "") -> str:
    """Name a rule; of policies there is one file."""
    if change.kind == change.id:
        return change.kind
    return f"{change.kind.removesuffix('s')} {mark}{change.id}{mark}"


def _alike(forecasts: Sequence[Forecast]) -> list[list[Forecast]]:
    """Put creators together for whom exactly the same happens."""
    groups: dict[str, list[Forecast]] = {}
    for forecast in forecasts:
        key = repr([change.plain() for change in forecast.changes])
        groups.setdefault(key, []).append(forecast)
    return list(groups.values())


def _names(group: Sequence[Forecast]) -> str:
    names = [forecast.creator_id for forecast in group]
    more = f" and {len(names) - _MANY} more" if len(names) > _MANY else ""
    return ", ".join(names[:_MANY]) + more


def _details(change: Change) -> Iterator[str]:
    yield from (line for d in change.differences[:_MANY]
                for line in [f"{d.path}: {shown(d.before)} → {shown(d.after)}"])  # fmt: skip
    if len(change.differences) > _MANY:
        yield f"and {len(change.differences) - _MANY} more differences"
    yield from _consequences(change)


def _consequences(change: Change) -> Iterator[str]:
    """Say who is concerned and how."""
    movement, fate = change.movement, change.fate
    if movement is not None:
        come, go = len(movement.entered), len(movement.left)
        yield f"{movement.before:,} → {movement.after:,} fans: {come:,} enter, {go:,} leave"
    if fate is not None and fate.fans:
        ways = {
            "stay in their version": fate.stay, "follow": fate.follow, "begin anew": fate.restart,
            "cancelled": fate.cancelled,
        }  # fmt: skip
        told = ", ".join(f"{count:,} {word}" for word, count in ways.items() if count)
        yield f"{fate.fans:,} fans on their way: {told}"
        if fate.dropped or fate.added:
            yield f"messages ahead of them: {fate.dropped:,} dropped, {fate.added:,} added, at most"
    if change.unsent and change.action in ("change", "stop"):
        yield f"{change.unsent:,} messages are decided and not gone yet; they still go"
    if change.withdrawn:
        yield f"{change.withdrawn:,} messages are decided and not gone yet; they are cancelled"
    if change.action == "keep":
        yield "it was started; the file's changes do not reach it"
    if change.note:
        yield change.note


def _diff(change: Change) -> Iterator[str]:
    for difference in change.differences:
        yield f"  {difference.path}"
        if difference.before is not None:
            yield f"- {shown(difference.before)}"
        if difference.after is not None:
            yield f"+ {shown(difference.after)}"


def _cell(line: str) -> str:
    return line.replace("|", "\\|").replace("<", "&lt;")


def _sum(plan: Proposal) -> str:
    counts = dict.fromkeys(_WORDS, 0)
    for forecast in plan.forecasts:
        for change in forecast.changes:
            counts[change.action] += 1
    told = [f"{count} {_WORDS[action]}" for action, count in counts.items() if count]
    people = len(plan.forecasts)
    return f"{', '.join(told) or 'nothing changes'} ({people} creator{'s'[: people != 1]})"
