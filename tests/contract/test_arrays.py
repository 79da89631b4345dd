"""Arrays of texts arrive in PostgreSQL as they left."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from huntaze_pipeline.store import arrays

WORD = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(words=st.lists(WORD | st.sampled_from(["", "null", "{}", 'a"b', "\\", "a,b", " x "])))
def test_every_word_arrives_as_it_left(store, words):
    with store.worker() as connection:
        query = text("select to_json(cast(:words as text[]))")
        assert connection.execute(query, {"words": arrays.literal(words)}).scalar() == words
