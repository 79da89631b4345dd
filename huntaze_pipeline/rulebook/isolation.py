"""One question that the database cannot ask stops no other: whose it is is found out, and told.

What passes the checks can be asked; this is for what they did not foresee, among the rules of all
creators at once.
"""

from collections.abc import Callable, Mapping

from huntaze_pipeline.rulebook.question import Question
from huntaze_pipeline.warehouse.refusals import FAULTY, told

_NOTHING = Question(None, "false")
"""When even this fails, no rule is to blame."""
_ASIDE: dict[Question, None] = {}
"""Questions that failed before in this process: they are asked by themselves from then on."""
_MANY = 1_000


def each(
    ask: Callable[[Mapping[str, Question]], None], questions: Mapping[str, Question]
) -> dict[str, str]:
    """Ask all questions, together as long as none fails; return the keys of those that do, and why.

    Args:
        ask: asks some of them and takes in the answers; where it fails it has taken in none.
        questions: what to ask, by key.

    Raises:
        duckdb.Error: nothing can be asked, so it is no question's fault.
    """
    aside = {key: one for key, one in questions.items() if one in _ASIDE} if _ASIDE else {}
    if not aside:
        return _together(ask, questions)
    broken = _together(ask, {key: one for key, one in questions.items() if key not in aside})
    for one in dict.fromkeys(aside.values()):
        broken |= _together(ask, {key: same for key, same in aside.items() if same == one})
    return broken


def _together(
    ask: Callable[[Mapping[str, Question]], None], questions: Mapping[str, Question]
) -> dict[str, str]:
    try:
        ask(questions)
    except FAULTY as error:
        ask({"": _NOTHING})
        return _halved(ask, questions, error)
    return {}


def _halved(
    ask: Callable[[Mapping[str, Question]], None],
    questions: Mapping[str, Question],
    error: Exception,
) -> dict[str, str]:
    """Find out which of some questions fail; they are halved until one is alone."""
    distinct = list(dict.fromkeys(questions.values()))
    if len(distinct) == 1:
        if len(_ASIDE) >= _MANY:
            _ASIDE.clear()
        _ASIDE[distinct[0]] = None
        return dict.fromkeys(questions, told(error))
    broken: dict[str, str] = {}
    half = set(distinct[: len(distinct) // 2])
    for first in (True, False):
        some = {key: one for key, one in questions.items() if (one in half) is first}
        try:
            ask(some)
        except FAULTY as inner:
            broken |= _halved(ask, some, inner)
    return broken
