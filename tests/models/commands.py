"""A command line that stays: runs `hoshikage` commands, one a line of its input, and tells each exit code."""

import contextlib
import io
import json
import sys

from hoshikage.cli.main import main

if __name__ == "__main__":
    for line in sys.stdin:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            code = main(json.loads(line))
        print(code, flush=True)  # noqa: T201
