"""Python and PostgreSQL know the same recipient by any spelling of its address."""

import pytest
from sqlalchemy import text

from huntaze_pipeline.store import address
from huntaze_pipeline.store.session import Store

WHITE = ["", " ", "\t", "\n", "\r\n", "\x0b", "\u00a0", "\u2003", "\u3000", " \t \u00a0"]


@pytest.mark.parametrize("white", WHITE)
def test_the_normal_form_is_the_same_in_both(store: Store, white: str) -> None:
    given = f"{white}Ada.Lovelace@Example.com{white}"
    with store.worker() as connection:
        query = f"select {address.sql('cast(:given as text)')}"
        found = connection.scalar(text(query), {"given": given})

    assert found == address.normal(given) == "ada.lovelace@example.com"
