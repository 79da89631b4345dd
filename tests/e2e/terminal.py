"""`huntaze …` as its process would run it, without paying for a process each time.

Arguments, environment, output and exit code are those of the program (`cli.main`), errors are told
as it tells them. What only a process can show (signals, a port, a kill) starts one itself.
"""

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any
from unittest import mock

from huntaze_pipeline import cli


def run(*arguments: Any, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command; `env` is its whole environment, None for ours."""
    words = [str(argument) for argument in arguments]
    out, err = io.StringIO(), io.StringIO()
    said = mock.patch.object(sys, "argv", ["huntaze", *words])
    told = contextlib.redirect_stdout(out), contextlib.redirect_stderr(err)
    with _environment(env), said, told[0], told[1]:
        code = _exit()
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


def _exit() -> int:
    try:
        cli.main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


@contextlib.contextmanager
def _environment(env: Mapping[str, str] | None) -> Iterator[None]:
    with mock.patch.dict(os.environ, clear=env is not None):
        os.environ.update(env or {})
        yield
