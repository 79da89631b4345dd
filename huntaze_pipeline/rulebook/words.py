"""Which words a template's text needs a value for. Pure, over Jinja's syntax tree.

A word that is guarded (`{% if fan.name %}`) or has a fallback (`fan.name or 'you'`) is not needed.
Which words there are, and filling them in, is `templates`.
"""

from collections.abc import Iterator

from jinja2 import nodes

Sure = frozenset[str]


def label(node: nodes.Node) -> str:
    """Return the word that an expression says, as it is written: `fan.name`."""
    if isinstance(node, nodes.Getattr):
        return f"{label(node.node)}.{node.attr}"
    if isinstance(node, nodes.Name):
        return node.name
    if isinstance(node, nodes.Filter) and node.node is not None:
        return label(node.node)
    if isinstance(node, nodes.Or):
        return f"{label(node.left)} or {label(node.right)}"
    return "a word"


def needed(node: nodes.Node, sure: Sure = frozenset()) -> Iterator[str]:
    """Yield the words that a tree says and that nothing stands in for.

    Args:
        node: a template or a part of one.
        sure: words that are known to have a value here.
    """
    if isinstance(node, nodes.If):
        yield from _either(node, sure)
    elif isinstance(node, nodes.Output):
        for part in node.nodes:
            yield from _said(part, sure)
    else:
        for child in node.iter_child_nodes():
            yield from needed(child, sure)


def _either(node: nodes.If, sure: Sure) -> Iterator[str]:
    yield from _compared(node.test, sure)
    for child in node.body:
        yield from needed(child, sure | _guarded(node.test))
    for child in (*node.elif_, *node.else_):
        yield from needed(child, sure)


def _compared(test: nodes.Node, sure: Sure) -> Iterator[str]:
    """Yield the words of `fan.purchases > 3`: nothing is more or less than no value."""
    if isinstance(test, nodes.And | nodes.Or):
        yield from _compared(test.left, sure)
        yield from _compared(test.right, sure | _guarded(test.left))
    elif isinstance(test, nodes.Compare) and test.ops[0].op not in ("eq", "ne", "in", "notin"):
        yield from _said(test.expr, sure)


def _said(node: nodes.Node, sure: Sure) -> Iterator[str]:
    if isinstance(node, nodes.Getattr | nodes.Name):
        if label(node) not in sure:
            yield label(node)
        return
    for part, known in _parts(node, sure):
        yield from _said(part, known)


def _parts(node: nodes.Node, sure: Sure) -> Iterator[tuple[nodes.Node, Sure]]:
    """Yield what an expression cannot do without, with what is known there."""
    if isinstance(node, nodes.Or):
        if label(node.left) not in sure:
            yield node.right, sure
    elif isinstance(node, nodes.CondExpr):
        yield node.expr1, sure | _guarded(node.test)
        if node.expr2 is not None:
            yield node.expr2, sure
    elif isinstance(node, nodes.Filter):
        if node.name != "default" and node.node is not None:
            yield node.node, sure
    elif isinstance(node, nodes.Add | nodes.Sub | nodes.Neg):
        yield from ((child, sure) for child in node.iter_child_nodes())


def _guarded(test: nodes.Node) -> Sure:
    """Return the words that have a value where a test holds."""
    if isinstance(test, nodes.And):
        return _guarded(test.left) | _guarded(test.right)
    if isinstance(test, nodes.Compare):
        return _guarded(test.expr)
    if isinstance(test, nodes.Test) and test.name == "defined":
        return _guarded(test.node)
    return frozenset({label(test)}) if isinstance(test, nodes.Getattr | nodes.Name) else frozenset()
