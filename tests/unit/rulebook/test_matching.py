"""However many are asked at once, of however many events, each question is answered the same."""

from datetime import UTC, datetime, timedelta

import duckdb
import polars as pl
import pytest

from huntaze_pipeline.rulebook import facts, matching, people
from huntaze_pipeline.rulebook.behaviour import Feature
from huntaze_pipeline.rulebook.question import Question, holds

START = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ("purchase", "tip", "sent", "opened", "clicked", "viewed")
TEXTS = {
    "spend": "fan.lifetime_spend > 20",
    "opened": "fan.messages_opened >= 1 and event.platform = 'email'",
    "fresh": "days_since(fan.last_active_at) < 0.5",
    "tagged": "has_tag('vip') or in_segment('loyal')",
    "bucket": "bucket(10) < 5 and event.properties.size = 'l'",
    "money": "creator.currency = 'EUR' and event.value > 3",
    "often": "performed('purchase', within => '30h', at_least => 2)",
}


@pytest.fixture
def batch():
    rows = [
        {
            "position": i, "creator_id": "maya", "event_id": f"e{i}", "name": NAMES[i % 6],
            "fan_id": f"f{i * 7 % 9}", "platform": ("email", "onlyfans")[i % 2],
            "message_id": f"m{i % 4}" if i % 6 in (2, 3, 4) else None,
            "value_micros": i % 11 * 1_000_000 if i % 6 < 2 else None,
            "occurred_at": START + timedelta(minutes=13 * i),
            "properties": '{"size": "l"}' if i % 3 else "{}",
        }
        for i in range(120)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=people.EVENTS)


@pytest.fixture
def known(batch):
    """Eight of nine fans; of five something had happened before."""
    past = batch.head(40).with_columns(
        message_id=pl.col("message_id").replace("m1", "old"),
        occurred_at=pl.col("occurred_at") - timedelta(days=2),
    )
    with duckdb.connect() as con:
        con.execute("set TimeZone = 'UTC'")
        con.register("past", past.to_arrow())
        states = con.execute(facts.state("past")).pl().filter(pl.col("fan_id") < "f5")
    profiles = [
        {
            "creator_id": "maya", "fan_id": f"f{i}", "tags": ["vip"] if i == 3 else [],
            "segments": ["loyal"] if i == 4 else [], "name": f"Fan {i}", "attributes": "{}",
            "profile_subscribed_at": START - timedelta(days=9) if i % 2 else None,
        }
        for i in range(8)
    ]  # fmt: skip
    fans = pl.DataFrame(profiles, schema=people.PROFILES)
    joined = fans.join(states, on=["creator_id", "fan_id"], how="left")
    return people.People(joined, creators={"maya": {"id": "maya", "currency": "EUR"}})


def asked(batch, known, *names, running=True):
    questions = {name: holds(TEXTS[name]) for name in names}
    return matching.answers(batch, known.fans, questions, known, running=running)


@pytest.mark.parametrize("running", [True, False])
def test_a_question_that_names_few_fields_is_answered_as_among_all(batch, known, running):
    among = asked(batch, known, *TEXTS, running=running)
    if running:
        assert {name for hits in among.hits.values() for name in hits} == set(TEXTS)
    for name in TEXTS:
        alone = asked(batch, known, name, running=running)
        assert set(alone.hits) == {p for p, hits in among.hits.items() if name in hits}
        assert alone.fans == {p: among.fans[p] for p in alone.hits if p in among.fans}


@pytest.mark.parametrize("running", [True, False])
def test_a_large_batch_is_answered_as_a_small_one(batch, known, running, monkeypatch):
    small = asked(batch, known, *TEXTS, running=running)
    monkeypatch.setattr(matching, "_MANY", 1)
    large = asked(batch, known, *TEXTS, running=running)
    assert (large.hits, large.fans) == (small.hits, small.fans)


def test_a_batch_is_answered_the_same_after_questions_about_other_fields(batch, known):
    first = asked(batch, known, "spend")
    assert asked(batch.tail(60), known, "opened", "money").hits
    again = asked(batch, known, "spend")
    assert (again.hits, again.fans) == (first.hits, first.fans)


def test_only_events_of_its_name_are_asked_a_question(batch, known):
    questions = {name: holds(text, event="tip") for name, text in TEXTS.items()}
    hits = matching.answers(batch, known.fans, questions, known).hits
    assert {p % 6 for p in hits} == {1}


def test_what_cannot_be_known_does_not_hold(batch, known):
    questions = {"x": Question(None, "fan.locale = 'en'", reads=frozenset({"fan.locale"}))}
    assert not matching.answers(batch, known.fans, questions, known).hits


def test_a_fan_that_is_not_known_has_no_fields(batch, known):
    found = asked(batch, known, "fresh", "spend")
    strangers = set(batch.filter(pl.col("fan_id") == "f8")["position"])
    assert strangers & set(found.hits)
    assert not strangers & set(found.fans)


def test_a_value_taken_out_of_json_by_many_questions_is_taken_out_once(batch, known):
    texts = ["event.properties.size = 'l'", "length(event.properties.size) = 1", "fan.tips > 0"]
    questions = {text: holds(text) for text in texts}
    assert {call for one in questions.values() for call in one.taken} == {
        """json_extract_string(event."properties", '$."size"')"""
    }
    found = matching.answers(batch, known.fans, questions, known).hits
    sized = set(batch.filter(pl.col("properties") != "{}")["position"])
    for text in texts[:2]:
        assert {p for p, hits in found.items() if text in hits} == sized


def test_a_text_that_reads_like_a_value_taken_out_of_json_stays_a_text(batch, known):
    text = """event.properties.size <> 'json_extract_string(event."properties", ''$."size"'')'"""
    found = matching.answers(batch, known.fans, {"x": holds(text)}, known).hits
    assert set(found) == set(batch.filter(pl.col("properties") != "{}")["position"])


def test_how_long_ago_something_was_is_worked_out_once_for_all_who_ask(batch, known):
    texts = [f"days_since(fan.last_active_at) < {n}.5" for n in (0, 1, 3)]
    questions = {text: holds(text) for text in texts}
    assert len({age for one in questions.values() for age in one.taken}) == 1
    among = matching.answers(batch, known.fans, questions, known).hits
    for text in texts:
        alone = matching.answers(batch, known.fans, {text: questions[text]}, known).hits
        assert set(alone) == {p for p, hits in among.items() if text in hits}


def test_a_text_that_reads_like_an_age_stays_a_text(batch, known):
    (age,) = holds("days_since(fan.last_active_at) < 1").taken
    same = age.replace("'", "''")
    text = f"days_since(fan.last_active_at) >= 0 and event.properties.size <> '{same}'"
    found = matching.answers(batch, known.fans, {"x": holds(text)}, known).hits
    assert found
    assert set(found) <= set(batch.filter(pl.col("properties") != "{}")["position"])
    assert age not in holds(f"event.properties.size = '{same}'").sql


UNASKABLE = (
    Question(None, "event.nothing < 3"),
    Question(None, "fan.name <", reads=frozenset({"fan.name"})),
    Question(None, "CAST(event.name AS INTEGER) > 1"),
    Question(None, "true", features=(Feature("tip", "count", None, "inf > 1"),)),
)


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("wrong", UNASKABLE)
def test_a_question_that_cannot_be_asked_is_told_and_stops_no_other(
    batch, known, wrong, large, monkeypatch
):
    monkeypatch.setattr(matching, "_MANY", 1 if large else 2_000)
    right = asked(batch, known, *TEXTS)
    questions = {"wrong": wrong, **{name: holds(text) for name, text in TEXTS.items()}}
    for _ in range(2):
        found = matching.answers(batch, known.fans, questions, known)
        assert (found.hits, found.fans) == (right.hits, right.fans)
        assert list(found.broken) == ["wrong"]
        assert "cannot be asked" in found.broken["wrong"]


def test_what_stops_every_question_is_no_fault_of_one(batch, known, monkeypatch):
    monkeypatch.setattr(matching.relations, "source", lambda _: "(SELECT 1 AS one) AS seen")
    with pytest.raises(duckdb.BinderException):
        asked(batch, known, "spend", "fresh")
