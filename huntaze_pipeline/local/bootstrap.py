"""Makes `.venv` from requirements.lock, once, whoever starts first. Run by path: `make` does.

Standard library only: nothing can be imported before the install. An old Python reads this file too
and hands over to a newer one, so its syntax stays plain.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

MINIMUM = (3, 11)
NAMES = ("python3.13", "python3.12", "python3.11", "python3.14", "python3", "python")
STAMP = ".huntaze-installed"
LOCAL = ".huntaze"
ROOT = Path(os.path.realpath(__file__)).parents[2]


def main():
    """Make or repair the virtual environment; say nothing when it is already right."""
    if sys.version_info < MINIMUM:
        newer = interpreter()
        os.execv(newer, [newer, *sys.argv])
    try:
        with locked(ROOT):
            if sys.argv[1:] == ["clean"]:
                clean(ROOT)
            elif not current(ROOT):
                install(ROOT)
    except OSError as error:
        sys.exit(f"error: cannot use {ROOT}: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped; the same command goes on from here")


def interpreter():
    """Return a Python on PATH that is new enough, or end with what to do."""
    for path in filter(None, map(shutil.which, NAMES)):
        if fit(path):
            return path
    needed, have = ".".join(map(str, MINIMUM)), ".".join(map(str, sys.version_info[:2]))
    return sys.exit(
        f"error: Huntaze needs Python {needed} or newer; {sys.executable} is {have} and there is "
        "no newer one on PATH.\nInstall one (python.org, `apt install python3.11`, "
        "`uv python install 3.12`) and run the same command again."
    )


def fit(path):
    """Say whether an interpreter runs and is new enough."""
    code = f"import sys; sys.exit(sys.version_info[:2] < {MINIMUM})"
    command = [path, "-I", "-c", code]
    try:
        return subprocess.call(command, stderr=subprocess.DEVNULL, timeout=20) == 0
    except (OSError, subprocess.SubprocessError):
        return False


@contextlib.contextmanager
def locked(root):
    """Let one install run at a time; the second waits and finds it done."""
    (root / LOCAL).mkdir(exist_ok=True)
    with (root / LOCAL / "install.lock").open("a") as lock:
        os.set_inheritable(lock.fileno(), True)  # an installer that outlives us holds it too
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("another install is running here; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def fingerprint(root):
    """Return what the environment depends on: the lock, the project's metadata, the place."""
    digest = hashlib.sha256(str(root).encode())
    for name in ("requirements.lock", "pyproject.toml"):
        digest.update((root / name).read_bytes())
    return digest.hexdigest()


def current(root):
    """Say whether the environment is whole and of this lock."""
    stamp = root / ".venv" / STAMP
    whole = stamp.is_file() and stamp.read_text() == fingerprint(root)
    return whole and os.access(root / ".venv" / "bin" / "python", os.X_OK)


def install(root):
    """Install in place. The stamp comes last, so an interrupted install is taken up again."""
    venv, uv = root / ".venv", shutil.which("uv")
    inside, env = str(venv / "bin" / "python"), environment(root)
    say(f"installing into {venv} (once; a minute or more)")
    (venv / STAMP).unlink(missing_ok=True)
    if venv.exists() and not fit(inside):  # half made, or its Python is gone or too old
        shutil.rmtree(venv)
    if uv and not venv.exists():
        run([uv, "venv", "-q", "--python", sys.executable, str(venv)], env)
    elif not uv and not (venv / "bin" / "pip").exists():
        run(own_venv(venv), env)  # also adds pip to one that has none, and keeps the rest
    tool = [uv, "pip", "install", "--python", inside] if uv else [inside, "-m", "pip", "install"]
    tool += ["-q", "--no-deps"]  # the lock is complete; a resolver would only lose time on it
    run([*tool, "--require-hashes", "-r", str(root / "requirements.lock")], env)
    run([*tool, "--no-build-isolation", "-e", str(root)], env)
    (venv / STAMP).write_text(fingerprint(root))


def own_venv(venv):
    """Return the command that makes an environment with pip, when this Python can."""
    try:
        import ensurepip  # noqa: F401
        import venv as _  # noqa: F401
    except ImportError:
        sys.exit(
            f"error: {sys.executable} comes without venv and pip; `apt install python3-venv` or "
            "put `uv` on PATH, and run the same command again."
        )
    return [sys.executable, "-m", "venv", str(venv)]


def environment(root):
    """Return the installers' environment, with a home and a cache that can be written."""
    env = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    for name in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PIP_USER", "PIP_TARGET", "PIP_PREFIX"):
        env.pop(name, None)
    home = Path(env.get("HOME") or "/nonexistent")
    if not (home.is_dir() and os.access(home, os.W_OK | os.X_OK)):
        spare = root / LOCAL / "home"
        spare.mkdir(parents=True, exist_ok=True)
        env["HOME"] = str(spare)
    return env


def run(argv, env):
    """Run one step, or end with what it was and what to do."""
    code = subprocess.call(argv, env=env, stdin=subprocess.DEVNULL, cwd="/", close_fds=False)
    if code != 0:
        sys.exit(
            f"error: `{' '.join(argv)}` ended with code {code}; its own words are above.\n"
            "Run the same command again: it goes on from here."
        )


def clean(root):
    """Remove the environment and the local data, with the folder that root's PostgreSQL uses."""
    sys.path.insert(0, str(root))
    from huntaze_pipeline.local import lease, refuge

    home = root / LOCAL
    if lease.taken(home / "stack" / "keeper.lock"):
        sys.exit(f"error: servers run in {home}: end the `huntaze` commands there first")
    for place in (root / ".venv", home, *refuge.paths(home)):
        if place.is_dir() and not place.is_symlink():
            say(f"removing {place}")
            shutil.rmtree(place)


def say(text):
    """Tell the person at the terminal."""
    sys.stderr.write(f"huntaze: {text}\n")


if __name__ == "__main__":
    sys.path.pop(0)  # this folder: its module names must not shadow the standard library's
    main()
