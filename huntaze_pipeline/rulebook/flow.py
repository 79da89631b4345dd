"""Steps as a program: a flat list of operations with positions; `steps.position` is its counter.

Belongs here: compiling, and where a position of one version is in the next. There is no way back,
so each way through a program ends. Taking a step is `passage`'s business.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from huntaze_pipeline.rulebook.schema import Automation
from huntaze_pipeline.rulebook.steps import ACTS, Send, Step

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Op:
    """One operation: what to do and where to go on."""

    position: int
    kind: str
    """One of `steps.KINDS`."""
    step: Step
    path: Path
    """Where it is written, as keys from the top of the file."""
    next: int
    """The position after it; the program's length means the end."""
    targets: tuple[int, ...] = ()
    """Where the ways of `if` and of a wait for an event (then, else) and of `split` begin."""
    delay: timedelta | None = None
    """A message of the short form: due so long after the entry."""

    @property
    def acts(self) -> bool:
        """Whether it does something besides choosing the way."""
        return self.kind in ACTS

    @property
    def asks(self) -> bool:
        """Whether taking it needs an answer about the fan."""
        return (
            self.acts or self.kind == "if" or (self.kind == "exit" and self.step.exit is not True)
        )

    @property
    def awaits(self) -> bool:
        """Whether it waits for an event."""
        return self.step.wait is not None and self.step.wait.event is not None

    @property
    def content(self) -> dict[str, Any]:
        """What it says itself, without the steps inside."""
        plain = self.step.plain()
        inner = {"then", "else", "id"}
        plain = {key: value for key, value in plain.items() if key not in inner}
        if self.step.split is not None:
            plain["split"] = [{"id": w.id, "weight": w.weight} for w in self.step.split]
        return plain


@dataclass(frozen=True)
class Program:
    """An automation's operations, in the order in which they are written."""

    ops: tuple[Op, ...]

    def __len__(self) -> int:
        return len(self.ops)

    def __iter__(self) -> Iterator[Op]:
        return iter(self.ops)

    def at(self, position: int) -> Op | None:
        """Return the operation at a position; None behind the end."""
        return self.ops[position] if 0 <= position < len(self.ops) else None

    def ahead(self, position: int, *, through: bool = False) -> list[Op]:
        """Return the operations that can be reached from a position, itself included.

        Args:
            position: where to begin.
            through: go on behind waits; without it the operations of one instant.
        """
        found: dict[int, Op] = {}
        open_ = [position]
        while open_:
            op = self.at(open_.pop())
            if op is None or op.position in found:
                continue
            found[op.position] = op
            waits = op.kind == "wait" and op.position != position
            if through or not waits:
                open_ += following(op)
        return [found[key] for key in sorted(found)]

    def unreachable(self) -> list[Op]:
        """Return the operations that nobody ever comes to."""
        reached = {op.position for op in self.ahead(0, through=True)}
        return [op for op in self.ops if op.position not in reached]


def following(op: Op) -> tuple[int, ...]:
    """Return every position that may come after an operation."""
    if op.kind == "exit":
        return () if op.step.exit is True else (op.next,)
    if op.step.split is not None:
        shares = zip(op.targets, op.step.split, strict=True)
        return tuple(target for target, way in shares if way.weight > 0)
    return op.targets or (op.next,)


def program(rule: Automation) -> Program:
    """Compile an automation; the short form's actions become messages with a delay."""
    if rule.actions:
        return Program(tuple(_short(rule, i) for i in range(len(rule.actions))))
    ops: list[Op] = []
    _lay(rule.steps, ("steps",), _size(rule.steps), ops)
    return Program(tuple(ops))


def _short(rule: Automation, i: int) -> Op:
    action = rule.actions[i]
    given = {name: getattr(action, name) for name in Send.model_fields}
    step = Step.model_construct(send=Send.model_construct(**given), conditions=action.conditions)
    return Op(i, "send", step, ("actions", i), i + 1, delay=action.delay)


def _size(steps: Sequence[Step]) -> int:
    return sum(1 + sum(_size(block) for _, block in step.blocks) for step in steps)


def _lay(steps: Sequence[Step], path: Path, after: int, ops: list[Op]) -> None:
    """Append the operations of a list of steps; the last one goes on at `after`."""
    for i, step in enumerate(steps):
        here, inside = len(ops), step.blocks
        end = here + _size([step])
        follows = end if i + 1 < len(steps) else after
        targets, start = [], here + 1
        for _, block in inside:
            targets.append(start if block else follows)
            start += _size(block)
        way = (*path, i)
        ops.append(Op(here, step.kind, step, way, follows, tuple(targets)))
        for keys, block in inside:
            _lay(block, (*way, *keys), follows, ops)


def moved(old: Program, position: int, new: Program) -> int | None:
    """Return where a fan who is at a position of one version is in another; None: nowhere.

    By the step's id, else by the same content (the same one of several alike), else by the same
    kind at the same place in the file.
    """
    op = old.at(position)
    if op is None:
        return None
    if op.step.id is not None:
        return next((n.position for n in new if n.step.id == op.step.id), None)
    alike = [n.position for n in new if n.content == op.content and n.delay == op.delay]
    twins = [o.position for o in old if o.content == op.content and o.delay == op.delay]
    if alike:
        return alike[min(twins.index(position), len(alike) - 1)]
    return next((n.position for n in new if n.path == op.path and n.kind == op.kind), None)
