"""How data docs look: Great Expectations' pages without anything from the web.

The library's own templates take their styles, icons, tables and tabs from six hosts; without them
its index is empty. Those in `docs/` stand in for them, by the library's own names; the words on the
pages stay the library's. Only Great Expectations imports this module, by the name that `pages`
gives it.
"""

from pathlib import Path

from great_expectations.render.view.view import DefaultJinjaPageView  # noqa: TID253 (who imports this has it)
from jinja2 import ChoiceLoader, FileSystemLoader

TEMPLATES = Path(__file__).with_name("docs")


class Page(DefaultJinjaPageView):
    """A page that needs nothing but itself."""

    def __init__(self, **directories: str | None) -> None:
        super().__init__(**directories)
        theirs = self.env.loader
        assert theirs is not None
        self.env.loader = ChoiceLoader([FileSystemLoader(TEMPLATES), theirs])
