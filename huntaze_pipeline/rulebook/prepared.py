"""A small database in memory: its questions are planned once and asked of new rows again and again.

DuckDB needs a tenth of a second to plan a hundred conditions and less than a millisecond to ask
them of a batch. Belongs here: keeping tables and plans. What is asked is the callers' business.

A plan must not depend on the rows that were there when it was made, so what DuckDB's planner would
conclude from statistics is switched off.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

import duckdb
import polars as pl


class Feed:
    """Rows that DuckDB reads where they are; a plan over them stays good when others take over."""

    def __init__(self, rows: pl.DataFrame) -> None:
        self.rows = rows

    def __arrow_c_stream__(self, schema: object = None) -> object:
        """Give the rows of now, in the types that every reader of Arrow knows."""
        return self.rows.to_arrow().__arrow_c_stream__(schema)


_BLIND = "statistics_propagation,compressed_materialization"


class Bench:
    """Tables that are filled anew for each batch, and the plans over them.

    Every table must be there before the first plan: a plan from before a change of the catalog is
    made again each time it is asked, at forty times its price.
    """

    def __init__(self, threads: int = 1) -> None:
        self.con = duckdb.connect(config={"threads": threads})
        self.con.execute("set TimeZone = 'UTC'")
        self.con.execute(f"set disabled_optimizers = '{_BLIND}'")
        self._feeds: dict[str, Feed] = {}
        self._tables: set[str] = set()
        self._made: set[str] = set()
        self._plans: dict[Hashable, str] = {}

    def feed(self, name: str, rows: pl.DataFrame) -> None:
        """Let a relation be these rows, without copying any; their types are always the same.

        For what each question reads once: a table is read faster again and again.
        """
        if name in self._feeds:
            self._feeds[name].rows = rows
        else:
            self._feeds[name] = Feed(rows)
            self.con.register(name, self._feeds[name])

    def fill(self, name: str, rows: pl.DataFrame) -> None:
        """Let a table hold these rows and no others; their types are always the same."""
        self.con.register("incoming", rows.to_arrow())
        if name in self._tables:
            self.con.execute(f"truncate {name}")
            if not rows.is_empty():
                self.con.execute(f"insert into {name} from incoming")
        else:
            self.con.execute(f"create table {name} as from incoming")
            self._tables.add(name)

    def make(self, name: str, query: str) -> None:
        """Let a table hold what a query over the others gives; the query is always the same."""
        if name not in self._made:
            self.con.execute(f"create table {name} as {query}")
            self.con.execute(f"prepare make_{name} as insert into {name} {query}")
            self._made.add(name)
            return
        self.con.execute(f"truncate {name}")
        self.con.execute(f"execute make_{name}")

    def ask(self, key: Hashable, query: Callable[[], str], values: str = "") -> Any:
        """Return the open result of a query, planned at its first time.

        Args:
            key: names the query.
            query: gives its text, with $1 for what is told each time.
            values: SQL literals for those, such as `([1, 2])`.
        """
        plan = self._plans.get(key)
        if plan is None:
            plan = f"ask_{len(self._plans)}"
            self.con.execute(f"prepare {plan} as {query()}")
            self._plans[key] = plan
        return self.con.execute(f"execute {plan}{values}")


class Shelf(threading.local):
    """The benches of each thread, by what they are for; the ones that were used last stay."""

    def __init__(self, size: int = 6) -> None:
        self._size = size
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()

    def take(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """Return what is kept under a key, made when there is nothing."""
        found = self._kept.pop(key, None)
        self._kept[key] = found = make() if found is None else found
        while len(self._kept) > self._size:
            self._kept.popitem(last=False)
        return found

    def drop(self, key: Hashable) -> None:
        """Forget what is kept under a key: something went wrong with it."""
        self._kept.pop(key, None)
