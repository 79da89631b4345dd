"""Steps as a program: where each way leads, what is never reached, what a version maps to."""

from datetime import timedelta

import pytest

from huntaze_pipeline.rulebook import flow
from huntaze_pipeline.rulebook.schema import Automation


def rule(*steps, **more):
    return Automation.model_validate(
        {"name": "A", "trigger": {"event": "tip"}, "steps": list(steps), **more}
    )


def ways(program):
    return {op.position: (op.kind, flow.following(op)) for op in program}


NESTED = (
    {"send": "a"},
    {
        "if": "fan.tips > 3",
        "then": [
            {"wait": {"event": "purchase", "timeout": "3d"}, "then": [{"exit": True}]},
        ],
        "else": [{"tag": "cold"}],
    },
    {"split": [{"weight": 1, "steps": [{"set": {"x": 1}}]}, {"weight": 2}, {"weight": 0}]},
    {"emit": "custom:done"},
)


def test_every_way_leads_on_to_what_is_written_behind_it():
    assert ways(flow.program(rule(*NESTED))) == {
        0: ("send", (1,)),
        1: ("if", (2, 4)),
        2: ("wait", (3, 5)),
        3: ("exit", ()),
        4: ("tag", (5,)),
        5: ("split", (6, 7)),
        6: ("set", (7,)),
        7: ("emit", (8,)),
    }


def test_an_operation_knows_where_it_is_written():
    program = flow.program(rule(*NESTED))
    assert program.ops[3].path == ("steps", 1, "then", 0, "then", 0)
    assert program.ops[6].path == ("steps", 2, "split", 0, "steps", 0)


def test_the_operations_of_one_instant_end_at_waits():
    program = flow.program(rule(*NESTED))
    assert [op.position for op in program.ahead(0)] == [0, 1, 2, 4, 5, 6, 7]
    assert len(program.ahead(0, through=True)) == len(program)


def test_what_stands_behind_an_exit_is_never_reached():
    program = flow.program(rule({"send": "a"}, {"exit": True}, {"send": "b"}, {"tag": "c"}))
    assert [op.path for op in program.unreachable()] == [("steps", 2), ("steps", 3)]


def test_actions_are_messages_with_a_delay_at_the_positions_they_always_had():
    old = Automation.model_validate(
        {
            "name": "A",
            "trigger": {"event": "tip"},
            "actions": [{"content": "x"}, {"template": "t", "delay": "24h", "topic": "service"}],
        }
    )
    first, second = flow.program(old)
    assert (first.delay, second.delay) == (timedelta(0), timedelta(days=1))
    assert second.step.send is not None
    assert (second.position, second.kind, second.step.send.topic) == (1, "send", "service")


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (({"wait": "2d"}, {"send": "a"}, {"send": "b"}), [1, 2]),  # by content
        (({"send": "b"}, {"send": "c"}), [None, 0]),  # one is gone
        (({"send": "z"}, {"send": "b"}), [0, 1]),  # by place, when nothing is alike
    ],
)
def test_a_position_is_found_again_in_another_version(new, expected):
    old = flow.program(rule({"send": "a"}, {"send": "b"}))
    there = flow.program(rule(*new))
    found = [flow.moved(old, i, there) for i in range(2)]
    if expected[0] is None:
        assert found[1] == expected[1]
    else:
        assert found == expected


def test_a_step_with_an_id_is_found_wherever_it_goes():
    old = flow.program(rule({"wait": "1d", "id": "rest"}, {"send": "b"}))
    new = flow.program(rule({"send": "b"}, {"if": "true", "then": [{"wait": "9d", "id": "rest"}]}))
    assert flow.moved(old, 0, new) == 2
    assert flow.moved(old, 0, flow.program(rule({"wait": "1d"}))) is None


@pytest.mark.parametrize(
    ("step", "what"),
    [
        ({"send": "a", "tag": "b"}, "here is send and tag"),
        ({"then": [{"tag": "a"}]}, "here is none of them"),
        ({"wait": {"event": "tip"}}, "nobody waits for ever"),
        ({"wait": "3d", "then": [{"tag": "a"}]}, "`then` and `else` go with `if`"),
        ({"if": "true"}, "needs steps under `then` or `else`"),
        ({"wait": "3d", "conditions": "true"}, "use `if`"),
        ({"webhook": "http://example.com"}, "write https://host/path"),
        ({"wait": 3}, "no duration"),
        ({"split": [{"weight": 0}, {"weight": 0}]}, "at least one way needs a weight"),
    ],
)
def test_a_step_that_cannot_be_says_why(step, what):
    with pytest.raises(ValueError, match=what.replace("`", ".")):
        rule(step)


def test_an_automation_reads_back_as_it_was_written():
    one = rule(*NESTED, exit={"event": "purchase"}, holdout=0.1, on_change="restart")
    assert Automation.model_validate(one.plain()) == one
    assert rule({"set": {"a": None}}).plain()["steps"][0]["set"] == {"a": None}
