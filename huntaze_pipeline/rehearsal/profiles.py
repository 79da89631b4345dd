"""The fans' own fields as they were at a moment: what is kept of them, and what they said before.

Belongs here: the SQL over `fans` and `former`. Facts and segments are `past`'s.
"""

from duckdb import DuckDBPyConnection

_TEXTS = {
    "name": "VARCHAR", "zone": "VARCHAR", "locale": "VARCHAR", "birthday": "DATE",
    "subscribed_at": "TIMESTAMPTZ", "created_at": "TIMESTAMPTZ",
}  # fmt: skip


def read(con: DuckDBPyConnection, fans: str, former: str) -> None:
    """Gather in `now_fans` and `was` the profiles of the fans in `who`, now and before changes.

    A table in PostgreSQL is read whole, so this is worth doing once for all that is asked.

    Args:
        con: where `who` is.
        fans: the relation of the profiles.
        former: the relation of what rows said before they changed.
    """
    con.execute(
        "create or replace temp table was as select creator_id, id as fan_id, until, body"
        f" from {former} f where kind = 'fans'"
        " and (creator_id, id) in (select creator_id, fan_id from who)"
    )
    con.execute(
        f"create or replace temp table now_fans as select f.* from {fans} f"
        " semi join who on who.creator_id = f.creator_id and who.fan_id = f.id"
    )


def as_of(askers: str) -> str:
    """Return the query of the fields of each asker's fan, from what `read` gathered."""
    old = {name: f"json_extract_string(w.body, '$.{name}')" for name in _TEXTS}
    return f"""
        select a.position,
               f.id is not null and (a.imported or f.created_at <= a.seen_at) as known,
               {", ".join(_either(name, old[name], kind) for name, kind in _TEXTS.items())},
               {_either("tags", "json_extract(w.body, '$.tags')", "", as_list=True)},
               {_either("attributes", "json_extract(w.body, '$.attributes')", "VARCHAR")}
        from {askers} a
        left join now_fans f on f.creator_id = a.creator_id and f.id = a.fan_id
        asof left join was w
            on w.creator_id = a.creator_id and w.fan_id = a.fan_id and a.seen_at < w.until
    """


def _either(name: str, old: str, kind: str, *, as_list: bool = False) -> str:
    """A field as it was, or as it is when it has not changed since."""
    alias = "profile_subscribed_at" if name == "subscribed_at" else name
    value = f"case when w.until is not null then {old} else cast(f.{name} as varchar) end"
    if as_list:
        return f"from_json({value}, '[\"VARCHAR\"]') as {alias}"
    return f"cast({value} as {kind}) as {alias}"
