"""What fans are spared of single messages that state a topic: the gates that a campaign's pass.

A topic that needs consent (marketing) needs it here as well, and waits for the quiet hours to end.
Any other (service) answers something that the fan did and goes at any hour. Frequency caps are not
asked, for somebody chose this message and this fan; it counts for those behind it.

Not here: a message without a topic, for then a person writes to a person.
"""

from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection

from huntaze_pipeline.campaigns import gates
from huntaze_pipeline.errors import MessageError, Problem
from huntaze_pipeline.rulebook.decision import Decision
from huntaze_pipeline.rulebook.policies import Policies, load_policies


def read(rules_dir: Path) -> Policies | None:
    """Read the policies; without a file nothing is asked.

    Raises:
        RuleError: the file holds faults.
    """
    return load_policies(rules_dir) if (rules_dir / "policies.yaml").is_file() else None


def screened(
    connection: Connection, decision: Decision, policies: Policies, now: datetime
) -> Decision:
    """Return the decision, put off to the end of the quiet hours where they hold it.

    Raises:
        MessageError: the fan never agreed to the topic, or it would expire in the quiet hours.
    """
    if not policies.topic(decision.topic).consent:
        return decision
    judged = gates.screen(connection, [decision], policies.without_caps(), now)[0]
    if judged.state == "skipped":
        raise MessageError([_problem(judged)])
    return judged


def _problem(refused: Decision) -> Problem:
    if refused.reason == "no_consent":
        what = f"the fan never agreed to {refused.topic!r}; what answers an action of the fan"
        return Problem("recipientId", f"{what} is of the topic 'service'")
    if refused.reason == "quiet_hours" and refused.earliest_at:
        what = f"it could go at {refused.earliest_at.isoformat()}, when the fan's quiet hours end"
        return Problem("expiresAt", f"is too early: {what}")
    return Problem("recipientId", f"cannot be written to now ({refused.reason})")
