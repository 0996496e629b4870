"""Run one command, and turn whatever goes wrong into a message and an exit code."""

from __future__ import annotations

import os
import shlex
import sys
import traceback
from collections.abc import Sequence

from argmind.cli._parser import parse
from argmind.errors import UserError

#: Set to 1 for the traceback of an unexpected error.
DEBUG = "ARGMIND_DEBUG"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 done (a run that was stopped and saved included), 2 something the user can mend,
        1 a failed self-test or an unexpected error, 130 Ctrl-C outside training.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _run(words)
        sys.stdout.flush()
        return code
    except UserError as error:
        return _say(f"error: {error}", 2)
    except KeyboardInterrupt:
        return _say("stopped.", 130)
    except BrokenPipeError:
        # The reader has gone (`| head`): what is still buffered must not raise once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except SystemExit as error:  # argparse has printed help or the version
        return int(error.code or 0)
    except Exception as error:
        if os.environ.get(DEBUG):
            traceback.print_exc()
        return _say(_unexpected(error), 1)


def _run(words: list[str]) -> int:
    args = parse(words)
    if args is None:
        return 0
    # Imported late, so that help comes at once.
    from argmind.cli._screen import Screen

    args.command = shlex.join(["argmind", *words])
    with Screen(as_json=args.json) as args.screen:
        return args.run(args)


def _unexpected(error: Exception) -> str:
    if type(error).__name__ == "OutOfMemoryError":
        return (
            "error: the GPU has not enough memory. Lower training.batch_size or raise "
            "training.accumulate (train), lower --batch-size or --candidates (elsewhere)."
        )
    shown = "" if os.environ.get(DEBUG) else f" Set {DEBUG}=1 to see the traceback."
    reason = str(error).strip() or "no message"
    return f"error: unexpected {type(error).__name__}: {reason}. This is a bug of argmind.{shown}"


def _say(text: str, code: int) -> int:
    rank = os.environ.get("RANK", "0")
    who = "" if rank == "0" else f"process {rank}: "
    print(who + text, file=sys.stderr, flush=True)
    return code
