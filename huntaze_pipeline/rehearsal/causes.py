"""Why what was decided again is not what live decided, as far as what is kept can tell."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from huntaze_pipeline.campaigns import recipients
from huntaze_pipeline.campaigns.writing import Campaign
from huntaze_pipeline.rehearsal import attendance
from huntaze_pipeline.rehearsal.comparison import Row
from huntaze_pipeline.rehearsal.past import Past, listed
from huntaze_pipeline.rulebook.decision import Decision

_WHERE = {"platform", "account_id", "address"}
_TEXT = {"content", "subject", "template_id"}
_TEST = {"variant_id", "followed_variant_id"}
_GATE = {"state", "reason", "earliest_at", "not_before"}
_CHANGED_TEXT = "the text is made from something that was changed and is not kept"
_CHANGED_GATE = (
    "a gate answers differently: what it asks about has changed, or policies.yaml was"
    " changed without `huntaze rules apply`"
)


def of_automation(past: Past, there: Row | None, here: Decision | None, fields: Row) -> str:
    """Say why an automation's message came out differently.

    Args:
        past: as it was opened for the rule.
        there: live's row.
        here: the decision made again.
        fields: those in which the two differ.
    """
    if there is None:
        return "live has not decided it: it came due after the last tick, or nobody ticked"
    if here is None:
        return _lost(past, there)
    if "rule_hash" in fields:
        return "the rule or a template of it changed while the fan was on its way"
    late = _late(past, there)
    if late:
        return late
    if fields.keys() & _WHERE:
        return "an address of the fan is another today; automations are decided again with today's"
    if fields.keys() <= _TEXT:
        return _CHANGED_TEXT
    if fields.keys() <= _GATE:
        return _CHANGED_GATE
    return "unknown: neither the rule nor the events explain it"


def _lost(past: Past, there: Row) -> str:
    known = past.con.execute(
        "select 1 from past_events where event_id = ?", [there["event_id"]]
    ).fetchone()
    if known is None:
        return f"its event {there['event_id']} is not in the lake (quarantined or not pulled)"
    return _late(past, there) or "the rule's version of then is not kept, or it says no"


def _late(past: Past, there: Row) -> str | None:
    """Name the fan's events that came while the one that decided waited for its tick."""
    if not there["at_entry"]:
        return None
    rows: Sequence[Any] = past.con.execute(
        "select event_id, seen_at from past_events where fan_id = ?"
        " and seen_at > ? and seen_at <= ? and event_id <> ? order by seen_at limit 3",
        [there["fan_id"], there["known_at"], there["decided_at"], there["event_id"]],
    ).fetchall()
    late = ", ".join(f"{name} at {seen:%Y-%m-%d %H:%M:%S}" for name, seen in rows)
    return f"events that came before the tick: {late}" if late else None


def of_campaign(
    past: Past, campaign: Campaign | None, there: Row | None, here: Decision | None, fields: Row
) -> str:
    """Say why a campaign's message came out differently.

    Args:
        past: of the creator.
        campaign: as it is today; None: it is not there any more.
        there: live's row.
        here: the decision made again.
        fields: those in which the two differ.
    """
    if campaign is None:
        return "the campaign is not there any more"
    if there is not None and there["rule_hash"] != campaign.rule_hash:
        return "the campaign was changed since, and what it said then is not kept"
    if here is None and there is not None:
        return _missed(past, campaign, there)
    if there is None and here is not None:
        stays = _stays(past, campaign, here.fan_id, here.decided_at)[0]
        return (
            f"live did not find the fan in the audience, and what is kept does ({stays}): it was"
            " written later than it says, or by hand"
        )
    if fields.keys() & _TEST or "held" in fields.get("state", ()):
        return "the test's arms, its end or an earlier arm of the fan was changed by hand"
    if fields.keys() & _WHERE:
        return "an address of the fan came later; when an address came is not kept"
    if fields.keys() <= _TEXT:
        return _CHANGED_TEXT
    if fields.keys() <= _GATE:
        return _CHANGED_GATE
    return "unknown: neither the campaign nor what is kept of the fan explains it"


def _missed(past: Past, campaign: Campaign, there: Row) -> str:
    """Say why a fan to whom live decided is not in the audience by what is kept."""
    known = past.con.execute(
        f"select 1 from {past.table('fans')} f where id = ? and created_at <= ?",
        [there["fan_id"], there["decided_at"]],
    ).fetchone()
    if known is None:
        return "the fan is not there any more, or is newer than the decision"
    stays, outside = _stays(past, campaign, there["fan_id"], there["decided_at"])
    if outside is None:
        return "the campaign's cap takes other fans: the audience that is kept is another"
    return (
        f"live found the fan in the audience, and what is kept does not ({stays}): a stay was"
        " written later than it says, or by hand"
    )


def _stays(past: Past, campaign: Campaign, fan: str, at: datetime) -> tuple[str, str | None]:
    """Tell the fan's stays in a campaign's segments, and why it was not meant at an instant."""
    aims = campaign.targeting
    names = recipients.spoken_of(aims)
    rows = past.con.execute(
        f"select segment_id, entered_at, left_at, {attendance.during('m', at)}"
        f" from {past.table('members')} m where fan_id = ? and segment_id in ({listed(names)})"
        " order by entered_at, segment_id",
        [fan],
    ).fetchall()
    inside = [name for name, *_, then in rows if then]
    told = [f"{n} from {a:%Y-%m-%d %H:%M:%S}{_to(b)}" for n, a, b, _ in rows]
    return ", ".join(told) or "no stays in its segments", recipients.outside(inside, aims)


def _to(left: datetime | None) -> str:
    return f" to {left:%Y-%m-%d %H:%M:%S}" if left else ""
