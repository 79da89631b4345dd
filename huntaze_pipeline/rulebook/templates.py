"""Message templates: which words they may use, and their text for one fan.

Jinja2 in its sandbox with an allow-list of syntax: text, values, filters and if/else. There are no
loops, calls or assignments, so that a template written by anybody ends and stays small.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, TemplateError, nodes
from jinja2 import Template as Compiled
from jinja2.sandbox import ImmutableSandboxedEnvironment

from huntaze_pipeline.rulebook.fields import EVENT, FACTS, FAN, OPEN, nearest
from huntaze_pipeline.rulebook.schema import Copy, Template

FALLBACK = "en"
WORDS: dict[str, tuple[str, ...]] = {
    "fan": (*FAN, "first_name"),
    "event": tuple(EVENT),
    "creator": ("id", "name", "zone", "currency"),
    "campaign": ("id", "name"),
}
"""What a template may say, besides its own variables and `fan.attributes`, `event.properties`."""
_FILTERS = (
    "capitalize", "default", "first", "int", "join", "last", "length", "lower", "money", "round",
    "title", "trim", "truncate", "upper",
)  # fmt: skip
_TESTS = ("defined", "none", "even", "odd")
_SYNTAX = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Getattr, nodes.Const,
    nodes.Filter, nodes.Test, nodes.If, nodes.CondExpr, nodes.Compare, nodes.Operand, nodes.And,
    nodes.Or, nodes.Not, nodes.Add, nodes.Sub, nodes.Keyword, nodes.Neg,
)  # fmt: skip
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u2028\u2029]")


class RenderError(ValueError):
    """A text cannot be made for this fan; the reason is the message."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a template's text; `needle` is the word."""

    what: str
    needle: str = ""


@dataclass(frozen=True, slots=True)
class Rendered:
    """What one fan reads."""

    body: str
    subject: str | None
    locale: str


def money(value: float) -> str:
    """Format an amount: two decimals, none when it is whole."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}"


def _environment() -> ImmutableSandboxedEnvironment:
    # Texts, not HTML: the e-mail adapter escapes what it puts into HTML.
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
    environment.filters["money"] = money
    return environment


_ENVIRONMENT = _environment()


def faults(
    text: str, variables: Iterable[str], scopes: Iterable[str] = tuple(WORDS)
) -> list[Fault]:
    """Return everything in a template's text that cannot be used."""
    try:
        tree = _ENVIRONMENT.parse(text)
        names = (*scopes, *variables)
        return [f for node in _every(tree) for f in _node(node, names)]
    except TemplateError as error:
        return [Fault(f"is no template: {error.message}")]
    except RecursionError:
        return [Fault("is nested too deeply")]


def _every(node: nodes.Node) -> Iterable[nodes.Node]:
    yield node
    for child in node.iter_child_nodes():
        yield from _every(child)


def _node(node: nodes.Node, names: tuple[str, ...]) -> list[Fault]:
    if not isinstance(node, _SYNTAX):
        what = type(node).__name__.lower()
        return [Fault(f"{what!r} is not part of templates: values, filters and if/else are")]
    if isinstance(node, nodes.Name) and node.name not in names:
        return [Fault(f"unknown word {node.name!r}{nearest(node.name, names)}", node.name)]
    if isinstance(node, nodes.Filter) and node.name not in _FILTERS:
        return [Fault(f"unknown filter {node.name!r}{nearest(node.name, _FILTERS)}", node.name)]
    if isinstance(node, nodes.Test) and node.name not in _TESTS:
        return [Fault(f"unknown test {node.name!r}{nearest(node.name, _TESTS)}", node.name)]
    return _attribute(node) if isinstance(node, nodes.Getattr) else []


def _attribute(node: nodes.Getattr) -> list[Fault]:
    """Allow `fan.name`, `fan.attributes.word`; nothing else is below anything."""
    inner, name = node.node, node.attr
    if isinstance(inner, nodes.Name) and inner.name in WORDS:
        known = (*WORDS[inner.name], *([OPEN[inner.name]] if inner.name in OPEN else []))
        if name not in known:
            return [Fault(f"unknown word '{inner.name}.{name}'{nearest(name, known)}", name)]
        return []
    if (
        isinstance(inner, nodes.Getattr)
        and isinstance(inner.node, nodes.Name)
        and OPEN.get(inner.node.name) == inner.attr
        and not name.startswith("_")
    ):
        return []
    return [Fault(f"nothing is known below {name!r}", name)]


@lru_cache(maxsize=2048)
def _compiled(text: str, variables: tuple[str, ...]) -> Compiled:
    wrong = faults(text, variables)
    if wrong:
        raise RenderError(wrong[0].what)
    return _ENVIRONMENT.from_string(text)


def fill(text: str, context: Mapping[str, Any]) -> str:
    """Return a text with its words filled in.

    Raises:
        RenderError: the text cannot be used, or a word has no value for this fan.
    """
    variables = tuple(sorted(set(context) - set(WORDS)))
    try:
        filled = _compiled(text, variables).render(context)
    except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
        raise RenderError(str(error)) from None
    return _CONTROL.sub("", filled).strip()


def pick(copies: Mapping[str, Copy], locale: str | None) -> tuple[str, Copy]:
    """Choose the language: the fan's, else its base (fr for fr-CA), else English."""
    wanted = (locale or FALLBACK).replace("_", "-")
    for name in (wanted, wanted.split("-")[0].lower(), FALLBACK):
        if name in copies:
            return name, copies[name]
    return next(iter(copies.items()))


def defaults(template: Template) -> dict[str, Any]:
    """Return the variables of a template that have a value of their own."""
    return {v.name: v.default for v in template.variables if v.default is not None}


def speaks_of_facts(template: Template) -> bool:
    """Say whether any text of a template names a fact such as `fan.purchases`."""
    texts = [
        c.body + (c.subject or "") for copies in template.content.values() for c in copies.values()
    ]
    return any(f"fan.{fact}" in text for text in texts for fact in FACTS)


def localised(variables: Mapping[str, Any], locale: str) -> dict[str, Any]:
    """Choose the language of variables that are written per locale."""
    return {
        name: value.get(locale, value.get(FALLBACK)) if isinstance(value, Mapping) else value
        for name, value in variables.items()
    }


def render(
    template: Template,
    platform: str,
    locale: str | None,
    context: Mapping[str, Any],
    variables: Mapping[str, Any],
) -> Rendered:
    """Return what one fan reads on a platform.

    Args:
        template: the content.
        platform: one of the template's platforms.
        locale: the fan's.
        context: the words `fan`, `creator`, and `event` or `campaign`.
        variables: values that win over the template's defaults.

    Raises:
        RenderError: the template has no content there, or a word has no value for this fan.
    """
    copies = template.content.get(platform)
    if not copies:
        raise RenderError(f"the template has no content for {platform}")
    language, copy = pick(copies, locale)
    words = {**context, **localised({**defaults(template), **variables}, language)}
    subject = " ".join(fill(copy.subject, words).split()) if copy.subject else None
    return Rendered(fill(copy.body, words), subject, language)
