"""A template as one fan would read it, before anybody does."""

from collections.abc import Mapping
from typing import Any

from huntaze_pipeline.errors import NotFoundError, Problem, RuleError
from huntaze_pipeline.rulebook import templates
from huntaze_pipeline.rulebook.fields import nearest
from huntaze_pipeline.rulebook.loader import Rulebook
from huntaze_pipeline.rulebook.references import SAMPLE


def preview(
    rulebook: Rulebook,
    name: str,
    platform: str,
    locale: str,
    variables: Mapping[str, Any] | None = None,
    fan: Mapping[str, Any] | None = None,
) -> templates.Rendered:
    """Render a template for a sample fan (or for the one given).

    Raises:
        NotFoundError: there is no such template.
        RuleError: it has no content for the platform, or a word has no value.
    """
    template = rulebook.templates.get(name)
    if template is None:
        known = list(rulebook.templates)
        raise NotFoundError(f"unknown template {name!r}{nearest(name, known)}")
    context = {**SAMPLE, "fan": {**SAMPLE["fan"], "locale": locale, **(fan or {})}}
    given = {v.name: f"[{v.name}]" for v in template.variables if v.default is None}
    try:
        return templates.render(template, platform, locale, context, {**given, **(variables or {})})
    except templates.RenderError as error:
        raise RuleError([Problem(f"template {name}", str(error))]) from None
