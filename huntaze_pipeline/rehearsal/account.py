"""Results of rule tests as text, JSON or JUnit XML."""

import json
from collections.abc import Sequence
from xml.sax.saxutils import quoteattr

from huntaze_pipeline.rehearsal import coverage
from huntaze_pipeline.rehearsal.coverage import Covered
from huntaze_pipeline.rehearsal.trial import Result

FORMATS = ("text", "json", "junit")


def render(results: Sequence[Result], covered: Sequence[Covered], form: str) -> str:
    """Return what came of the tests, in one of `FORMATS`."""
    if form == "json":
        return json.dumps(_plain(results, covered), indent=2, ensure_ascii=False)
    if form == "junit":
        return _junit(results)
    return "\n".join(_lines(results, covered))


def _lines(results: Sequence[Result], covered: Sequence[Covered]) -> list[str]:
    lines: list[str] = []
    for result in results:
        if not result.passed:
            lines += [str(problem) for problem in result.problems]
            lines += ["    what happened:", *(f"      {line}" for line in result.lines)]
    for row in covered:
        whole = len(row.gone) + len(row.missed)
        if row.gone and row.missed:
            lines.append(f"{row.rule}: {len(row.gone)} of {whole} ways tried")
            lines += [f"  {where}: {way.what}" for way, where in row.missed]
    untried = [row.rule for row in covered if not row.gone]
    if untried:
        lines.append(f"without a test: {', '.join(untried)}")
    return [*lines, summary(results, covered)]


def summary(results: Sequence[Result], covered: Sequence[Covered]) -> str:
    """Return the last line: how many tests, how many failed, how much was covered."""
    failed = sum(not result.passed for result in results)
    took = sum(result.seconds for result in results)
    share = f", {coverage.total(covered):.0%} of the rules' ways" if covered else ""
    tests = f"{len(results)} test{'s' * (len(results) != 1)}"
    state = f"{failed} of {tests} failed" if failed else f"{tests} passed"
    return f"{state} in {took:.1f} s{share}"


def _plain(results: Sequence[Result], covered: Sequence[Covered]) -> dict[str, object]:
    return {
        "passed": all(result.passed for result in results),
        "coverage": round(coverage.total(covered), 4),
        "tests": [
            {
                "rule": r.trial.owner, "name": r.trial.name, "passed": r.passed,
                "seconds": round(r.seconds, 4),
                "problems": [{"where": p.where, "message": p.what} for p in r.problems],
                "story": r.lines,
            }
            for r in results
        ],
        "rules": [
            {
                "rule": row.rule, "coverage": round(row.share, 4),
                "missed": [{"where": where, "what": way.what} for way, where in row.missed],
            }
            for row in covered
        ],
    }  # fmt: skip


def _junit(results: Sequence[Result]) -> str:
    failed = sum(not result.passed for result in results)
    took = sum(result.seconds for result in results)
    head = f'<testsuite name="rules" tests="{len(results)}" failures="{failed}" time="{took:.3f}">'
    cases = [_case(result) for result in results]
    return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', head, *cases, "</testsuite>"])


def _case(result: Result) -> str:
    trial = result.trial
    file, line, _ = trial.source.problem(trial.path, "").where.rsplit(":", 2)
    begin = (
        f"  <testcase classname={_attribute(trial.owner)} name={_attribute(trial.name)}"
        f' file={_attribute(file)} line="{line}" time="{result.seconds:.3f}"'
    )
    if result.passed:
        return f"{begin}/>"
    told = "\n".join([*map(str, result.problems), *result.lines])
    first = _attribute(result.problems[0].what)
    return f"{begin}><failure message={first}>{_text(told)}</failure></testcase>"


def _attribute(text: str) -> str:
    return quoteattr(_printable(text), {"\n": "&#10;"})


def _text(text: str) -> str:
    from xml.sax.saxutils import escape

    return escape(_printable(text))


def _printable(text: str) -> str:
    """Drop what XML cannot hold, however it came into a rule."""
    return "".join(sign for sign in text if sign in "\n\t" or sign >= " ")
