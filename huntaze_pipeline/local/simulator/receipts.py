"""What fans do with a message: delivered, opened, clicked, bought, replied, unsubscribed, bounced.

Pure: a plan follows from the seed, the message and its content. A click implies an open, an open a
delivery, a purchase a click; each happens once per message. Posting them is `courier`'s work.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from huntaze_pipeline import hashing
from huntaze_pipeline.local.simulator.behaviour import Lift, Receipts

_PERSON = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_2 like Mac OS X) AppleWebKit/605.1.15"
_MACHINE = "Barracuda Sentinel (EE)"


@dataclass(frozen=True, slots=True)
class Step:
    """One receipt of a message: what, how many seconds after acceptance, and what it was worth."""

    kind: str
    after_s: float
    value: float | None = None
    user_agent: str | None = None


def plan(settings: Receipts, seed: str, platform: str, message: str, text: str) -> list[Step]:
    """Return the message's receipts in the order in which they happen."""
    fan = _Fan(settings, seed, platform, message, _lift(settings.lift, text))
    return sorted(fan.steps(), key=lambda step: step.after_s)


def _lift(lifts: tuple[Lift, ...], text: str) -> Lift:
    """Multiply the factors of all lifts whose words the text holds."""
    open_ = click = buy = value = 1.0
    for lift in lifts:
        if lift.contains in text:
            open_, click = open_ * lift.open, click * lift.click
            buy, value = buy * lift.buy, value * lift.value
    return Lift.model_construct(contains="", open=open_, click=click, buy=buy, value=value)


@dataclass(frozen=True, slots=True)
class _Fan:
    """One recipient's draws."""

    settings: Receipts
    seed: str
    platform: str
    message: str
    lift: Lift

    def steps(self) -> Iterator[Step]:
        """Walk the chain until a draw ends it."""
        delays = self.settings.delays
        if not self._does("deliver", self.settings.deliver):
            yield Step("bounced", self._wait("bounce", delays.bounce))
            return
        at = self._wait("deliver", delays.deliver)
        yield Step("delivered", at)
        if self._does("unsubscribe", self.settings.unsubscribe):
            yield Step("unsubscribed", at + self._wait("unsubscribe", delays.unsubscribe))
        if not self._does("open", self.settings.open * self.lift.open):
            return
        at += self._wait("open", delays.open)
        yield Step("opened", at, user_agent=self._agent("open"))
        if self._does("reply", self.settings.reply):
            yield Step("replied", at + self._wait("reply", delays.reply))
        yield from self._after_open(at)

    def _after_open(self, at: float) -> Iterator[Step]:
        delays = self.settings.delays
        if not self._does("click", self.settings.click * self.lift.click):
            return
        at += self._wait("click", delays.click)
        yield Step("clicked", at, user_agent=self._agent("click"))
        if self._does("buy", self.settings.buy * self.lift.buy):
            yield Step("bought", at + self._wait("buy", delays.buy), value=self._value())

    def _does(self, what: str, chance: float) -> bool:
        return self._draw(what) < min(chance, 1.0)

    def _wait(self, what: str, mean_s: float) -> float:
        return -mean_s * math.log(1 - self._draw(f"wait {what}")) if mean_s else 0.0

    def _value(self) -> float:
        low, high = self.settings.value_min, self.settings.value_max
        return round((low + (high - low) * self._draw("value")) * self.lift.value, 2)

    def _agent(self, what: str) -> str:
        machine = self.platform == "email" and self._does(f"machine {what}", self.settings.machine)
        return _MACHINE if machine else _PERSON

    def _draw(self, what: str) -> float:
        return hashing.fraction(self.seed, "receipt", what, self.message)
