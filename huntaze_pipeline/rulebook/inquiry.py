"""What an automation asks: of every event, before a step, and of what its passages wait for.

Each question has a name, by which its answer is found again.
"""

from dataclasses import dataclass
from functools import cached_property

from huntaze_pipeline.rulebook.flow import Program
from huntaze_pipeline.rulebook.question import Question, holds, occurred, triggered
from huntaze_pipeline.rulebook.schema import Automation


@dataclass(frozen=True)
class Inquiry:
    """The questions of one version of an automation."""

    rule: Automation
    rule_hash: str
    """How all names begin; alone it names the question who enters."""
    program: Program

    @property
    def leaves(self) -> str:
        """Names the question whether a fan's goal is reached, before a step."""
        return f"{self.rule_hash}/exit"

    @property
    def goal(self) -> str:
        """Names the question whether an event is the goal."""
        return f"{self.rule_hash}/goal"

    @property
    def enters(self) -> str:
        """Names the question whether a fan may enter this version without an event."""
        return f"{self.rule_hash}/enters"

    def before(self, position: int) -> str:
        """Name the question about the step at a position."""
        return f"{self.rule_hash}/{position}"

    def came(self, position: int) -> str:
        """Name the question whether an event is the one that the step at a position waits for."""
        return f"{self.rule_hash}/{position}/came"

    @cached_property
    def entry(self) -> dict[str, Question]:
        """What is asked of every event."""
        asked = {self.rule_hash: triggered(self.rule)}
        return asked | self.steps(0, self.rule.trigger.event) | self.awaited

    @cached_property
    def awaited(self) -> dict[str, Question]:
        """Whether an event is one that somebody waits for."""
        questions: dict[str, Question] = {}
        if self.rule.exit is not None and self.rule.exit.event is not None:
            questions[self.goal] = occurred(self.rule.exit)
        for op in self.program:
            if op.step.wait is not None and op.step.wait.event is not None:
                questions[self.came(op.position)] = occurred(op.step.wait)
        return questions

    @cached_property
    def anew(self) -> dict[str, Question]:
        """What is asked of a fan who begins this version instead of another."""
        return {**self.steps(0, again=True), self.enters: holds(self.rule.conditions)}

    def steps(
        self, position: int, event: str | None = None, *, again: bool = False
    ) -> dict[str, Question]:
        """Ask what the steps of one instant need to know.

        Args:
            position: the first step.
            event: ask it of events with this name only.
            again: ask the automation's own conditions as well, for steps that do something.
        """
        rule = self.rule
        questions: dict[str, Question] = {}
        if rule.exit is not None and rule.exit.event is None:
            questions[self.leaves] = holds(rule.exit.conditions, event=event)
        for op in self.program.ahead(position):
            step = op.step
            parts = [step.conditions, step.if_, None if step.exit is True else step.exit]
            parts += [rule.conditions] if again and op.acts else []
            if op.asks and any(part is not None for part in parts):
                questions[self.before(op.position)] = holds(*parts, event=event)
        return questions
