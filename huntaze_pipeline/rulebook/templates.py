"""Message templates: which words they may use, and their text for one fan.

Jinja2 in its sandbox with an allow-list of syntax: text, values, filters and if/else. There are no
loops, calls or assignments, so that a template written by anybody ends and stays small.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, TemplateError, Undefined, nodes
from jinja2 import Template as Compiled
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from huntaze_pipeline.rulebook import words
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
SURE = ("fan.id", *(f"{scope}.{w}" for scope in ("creator", "campaign") for w in WORDS[scope]))
"""Words that always have a value."""
_FILTERS = {
    "capitalize": 0, "default": 2, "first": 0, "int": 2, "join": 2, "last": 0, "length": 0,
    "lower": 0, "money": 0, "round": 2, "title": 0, "trim": 1, "truncate": 4, "upper": 0,
}  # fmt: skip
"""With how many values each takes, at most."""
_TESTS = ("defined", "none", "even", "odd")
_SYNTAX = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Getattr, nodes.Const,
    nodes.Filter, nodes.Test, nodes.If, nodes.CondExpr, nodes.Compare, nodes.Operand, nodes.And,
    nodes.Or, nodes.Not, nodes.Add, nodes.Sub, nodes.Keyword, nodes.Neg,
)  # fmt: skip
_SAID, _FOUND = "said", "found"
"""Put around words when a text is compiled; no filters that templates may use."""
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


class _Missing(TemplateError):
    """A word that is to be said has no value."""


def _said(value: Any, word: str) -> Any:
    """Pass a value on; one that is not there is named, never written as "None"."""
    if value is None or isinstance(value, Undefined):
        raise _Missing(f"{word} has no value")
    return value


def _found(values: Any, word: str) -> Any:
    """Look up a free word (`fan.attributes.size`): one that is not there has no value."""
    return values.get(word) if isinstance(values, Mapping) else values


def money(value: float) -> str:
    """Format an amount: two decimals, none when it is whole."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}"


def _environment() -> ImmutableSandboxedEnvironment:
    # Texts, not HTML: the e-mail adapter escapes what it puts into HTML.
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
    environment.filters["money"] = money
    environment.filters |= {_SAID: _said, _FOUND: _found}
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
    if isinstance(node, nodes.Filter) and (told := _overfed(node)):
        return [Fault(told, node.name)]
    if isinstance(node, nodes.Test) and node.name not in _TESTS:
        return [Fault(f"unknown test {node.name!r}{nearest(node.name, _TESTS)}", node.name)]
    return _attribute(node) if isinstance(node, nodes.Getattr) else []


def _overfed(node: nodes.Filter) -> str | None:
    """Say what is wrong with the number of values that a filter is given, if anything."""
    given, most = len(node.args) + len(node.kwargs), _FILTERS[node.name]
    if given <= most and node.dyn_args is None and node.dyn_kwargs is None:
        return None
    return f"{node.name} takes {f'at most {most} values' if most else 'no values'}, not {given}"


def _attribute(node: nodes.Getattr) -> list[Fault]:
    """Allow `fan.name`, `fan.attributes.word`; nothing else is below anything."""
    inner, name = node.node, node.attr
    if isinstance(inner, nodes.Name) and inner.name in WORDS:
        known = (*WORDS[inner.name], *([OPEN[inner.name]] if inner.name in OPEN else []))
        if name not in known:
            return [Fault(f"unknown word '{inner.name}.{name}'{nearest(name, known)}", name)]
        return []
    if _open(node) and not name.startswith("_"):
        return []
    return [Fault(f"nothing is known below {name!r}", name)]


def _open(node: nodes.Getattr) -> bool:
    """Say whether a node is a free word, such as `fan.attributes.size`."""
    inner = node.node
    return (
        isinstance(inner, nodes.Getattr)
        and isinstance(inner.node, nodes.Name)
        and OPEN.get(inner.node.name) == inner.attr
    )


@lru_cache(maxsize=2048)
def _compiled(text: str, variables: tuple[str, ...]) -> Compiled:
    wrong = faults(text, variables)
    if wrong:
        raise RenderError(wrong[0].what)
    tree = _Guard().visit(_ENVIRONMENT.parse(text))
    code = _ENVIRONMENT.compile(tree)
    # No globals: a text may name none of them, and every rendering would copy them.
    return Compiled.from_code(_ENVIRONMENT, code, {})


class _Guard(NodeTransformer):
    """Wraps what is said, or handed to a filter, so that a missing value is noticed and named."""

    def visit_Output(self, node: nodes.Output) -> nodes.Node:
        node.nodes = [n if isinstance(n, nodes.TemplateData) else _sure(n) for n in node.nodes]
        return self.generic_visit(node)

    def visit_Filter(self, node: nodes.Filter) -> nodes.Node:
        if node.name not in ("default", _SAID, _FOUND) and node.node is not None:
            node.node = _sure(node.node)
        return self.generic_visit(node)

    def visit_Getattr(self, node: nodes.Getattr) -> nodes.Node:
        if not _open(node):
            return self.generic_visit(node)
        return _through(_FOUND, node.node, node.attr)


def _sure(node: nodes.Expr) -> nodes.Filter:
    return _through(_SAID, node, words.label(node))


def _through(name: str, node: nodes.Expr, word: str) -> nodes.Filter:
    made = nodes.Filter(node, name, [nodes.Const(word)], [], None, None, lineno=node.lineno)
    made.set_environment(_ENVIRONMENT)
    return made


def fill(text: str, context: Mapping[str, Any]) -> str:
    """Return a text with its words filled in.

    Raises:
        RenderError: the text cannot be used, or a word has no value for this fan.
    """
    if "{" not in text:
        return _wordless(text)
    variables = tuple(sorted(set(context) - set(WORDS)))
    try:
        filled = _compiled(text, variables).render(context)
    except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
        raise RenderError(str(error)) from None
    return _clean(filled)


@lru_cache(maxsize=2048)
def _wordless(text: str) -> str:
    """Return a text without words: everybody reads the same."""
    return _clean(_compiled(text, ()).render())


def _clean(filled: str) -> str:
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


def needs(template: Template, given: Iterable[str] = ()) -> frozenset[str]:
    """Return the words that a template says without a fallback: a fan who lacks one gets nothing.

    Args:
        template: the content; its own variables with defaults never lack.
        given: variables that the user of the template gives.
    """
    never = {*defaults(template), *given, *SURE}
    texts = [t for c in template.content.values() for e in c.values() for t in (e.body, e.subject)]
    said = {word for text in texts if text for word in words.needed(_ENVIRONMENT.parse(text))}
    return frozenset(word for word in said if word not in never)


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
    given = {**context, **localised({**defaults(template), **variables}, language)}
    subject = " ".join(fill(copy.subject, given).split()) if copy.subject else None
    return Rendered(fill(copy.body, given), subject, language)
