"""The packed record of an account's calls, against a plain list of them; in a real Redis's Lua."""

import json
from dataclasses import dataclass

from effort import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from huntaze_pipeline.delivery import scripts
from huntaze_pipeline.settings import Settings

WINDOW = 1000
START = 1_800_000_000_000
SCRIPT = (
    scripts.text("shard", "calls")
    + """
local window, calls, given, seen = tonumber(ARGV[2]), nil, {}, {}
calls = pack(window, 0)
for _, step in ipairs(cjson.decode(ARGV[1])) do
  now = step.now
  if step.trim then calls = trim(calls, window) end
  if step.lease then
    serial = following(serial)
    given[#given + 1] = pack(now + step.lease, serial)
    calls = add(calls, now + step.lease, given[#given])
    furthest = math.max(furthest, now + step.lease)
  elseif given[step.of] then
    calls = finish(calls, given[step.of], step.made, step.ago)
  end
  local left, told = trim(calls, window), {}
  for count = 1, 4 do told[count] = opening(left, count, window) end
  seen[#seen + 1] = { size(left), told }
end
return cjson.encode(seen)
"""
)


@dataclass
class Call:
    """One permit: when it counts from, when its lease ends, and whether nothing was told of it."""

    at: int
    lease: int
    open: bool = True


def told(lean: Settings, steps: list[dict[str, object]]) -> list[tuple[int, list[int]]]:
    """Return what the record says after each step: calls that count, openings by limit."""
    with scripts.connect(lean) as client:
        call = (["test:{s}:"], [json.dumps(steps), WINDOW])
        return [tuple(s) for s in json.loads(scripts.run(client, SCRIPT, {"": call})[""])]


def expected(steps: list[dict[str, object]]) -> list[tuple[int, list[int]]]:
    """Return the same from a list of calls."""
    calls: list[Call] = []
    given: list[Call] = []
    seen = []
    for step in steps:
        now, lease, of, ago = step["now"], step.get("lease"), step.get("of"), step.get("ago")
        assert isinstance(now, int)
        if isinstance(lease, int):
            given.append(Call(now + lease, now + lease))
            calls.append(given[-1])
        elif isinstance(of, int) and of <= len(given):
            assert isinstance(ago, int)
            _end(calls, given[of - 1], now, now + 1 - ago, made=bool(step["made"]))
        live = sorted(call.at for call in calls if call.at + WINDOW > now)
        openings = [live[len(live) - n] + WINDOW if len(live) >= n else now for n in range(1, 5)]
        seen.append((len(live), openings))
    return seen


def _end(calls: list[Call], call: Call, now: int, at: int, *, made: bool) -> None:
    if call.open:
        call.open = False
        call.at = at if made else 0
    elif made and call.lease <= now:
        calls.append(Call(at, at, open=False))


moments = st.integers(0, 700)
taken = st.fixed_dictionaries({"pass": moments, "lease": st.sampled_from([1, 300, 300, 2500])})
ended = st.fixed_dictionaries(
    {"pass": moments, "of": st.integers(1, 12), "made": st.booleans() | st.just(True),
     "ago": st.just(0) | moments}
)  # fmt: skip
trimmed = st.fixed_dictionaries({"pass": moments, "trim": st.just(True)})


@given(steps=st.lists(taken | taken | ended | ended | trimmed, max_size=30))
@settings(
    max_examples=examples(100),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_the_record_agrees_with_a_list_of_calls(
    lean: Settings, steps: list[dict[str, int]]
) -> None:
    now, timed = START, []
    for step in steps:
        now += step["pass"]
        timed.append({"now": now, **step})

    assert told(lean, timed) == expected(timed)


def test_a_call_counts_to_the_millisecond(lean: Settings) -> None:
    steps: list[dict[str, object]] = [
        {"now": START, "lease": 500},
        {"now": START + 100, "of": 1, "made": True, "ago": 0},
        {"now": START + 100 + WINDOW, "trim": True},
        {"now": START + 101 + WINDOW, "trim": True},
        {"now": START + 2000, "lease": 500},
        {"now": START + 2499 + WINDOW, "trim": True},
        {"now": START + 2500 + WINDOW, "trim": True},
    ]

    assert [calls for calls, _ in told(lean, steps)] == [1, 1, 1, 0, 1, 1, 0]
