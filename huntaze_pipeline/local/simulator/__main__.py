"""`python -m huntaze_pipeline.local.simulator`: for programs that start one and read its addresses.

People use `huntaze simulator`; this door opens faster and prints one line of JSON.
"""

import argparse
import sys
from pathlib import Path

from huntaze_pipeline import settings
from huntaze_pipeline.errors import HuntazeError
from huntaze_pipeline.local.simulator import app


def main() -> None:
    """Run a simulator on free ports unless told otherwise."""
    parser = argparse.ArgumentParser(prog="simulator", description="Four platforms and a judge.")
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--smtp-port", type=int, default=0)
    parser.add_argument("--behaviour", type=Path)
    parser.add_argument("--webhook")
    parser.add_argument("--seed")
    parser.add_argument("--leash", action="store_true", help="stop when standard input closes")
    given = parser.parse_args()
    options = app.options(
        settings.load(), folder=given.state_dir, file=given.behaviour, webhook=given.webhook,
        seed=given.seed, host=given.host, http_port=given.port, smtp_port=given.smtp_port,
    )  # fmt: skip
    app.run(options, app.announce, leash=given.leash)


if __name__ == "__main__":
    try:
        main()
    except HuntazeError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
