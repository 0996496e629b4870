"""Ctrl-C and SIGTERM: the first asks the loop to save and stop, the second quits at once."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import Any

# torchrun hands a Ctrl-C on to workers that have already had it from the terminal: what comes
# this soon after the first signal is the same wish, not a second one.
SAME_WISH_S = 0.5


class Interrupts:
    """A context that turns the first signal into :attr:`requested` and exits on the second.

    Outside the main thread no handler can be set; :meth:`request` still works there.
    """

    def __init__(self) -> None:
        self.requested = False
        self._first_s = 0.0
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        self.requested, self._first_s = False, 0.0
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()

    def request(self) -> None:
        """Ask the loop to save and stop at the end of its step."""
        self.requested = True

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self._first_s and time.monotonic() - self._first_s > SAME_WISH_S:
            # No clean-up: it may be just what hangs. The next start removes temporary folders.
            if sys.stderr.isatty():
                _say("\x1b[?25h")  # the cursor that a progress bar hides
            os._exit(128 + number)
        if not self.requested and os.environ.get("RANK", "0") == "0":
            _say("\nSaving at the end of this step; a second signal quits at once.\n")
        self._first_s = self._first_s or time.monotonic()
        self.requested = True


def _say(text: str) -> None:
    # Not print(): the signal may have come in the middle of one.
    with contextlib.suppress(OSError):
        os.write(2, text.encode())
