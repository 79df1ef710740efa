"""What ends a run from outside: a key, a scheduler, a container's end, a terminal that closes. Each ends it as Ctrl-C does."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

STOPPED = "stopped; finished work is kept, the same command continues"
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
PATIENCE = 1.0  # seconds until what does not end by itself is ended
CLEANING = 0.5  # seconds that libraries may take to clean up


class Ending:
    """Whether a signal asked for the end, and the exit status that tells which."""

    came = False
    told = False
    status = 128 + signal.SIGINT

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        """Handle the first signal as a keyboard interrupt, and those that follow not at all."""
        if not self.came:
            self.came, self.status = True, 128 + number
            raise KeyboardInterrupt

    def tell(self) -> None:
        """Say once that finished work is kept."""
        if not self.told:
            self.told = True
            with suppress(OSError, ValueError):  # perhaps nobody is there to read it
                print(STOPPED, file=sys.stderr, flush=True)

    def watch(self, signals: int) -> None:
        """Wait for a signal; end what has not ended a little later: it may compute, or have swallowed the interrupt."""
        while number := os.read(signals, 1):
            if number[0] in SIGNALS:
                time.sleep(PATIENCE)
                self.leave(128 + number[0])
        os.close(signals)

    def leave(self, status: int) -> NoReturn:
        """Say that finished work is kept, and end this process."""
        self.tell()
        end_now(status)


def end_now(status: int) -> NoReturn:
    """End this process and its workers now: to free all that a large program holds would take seconds.

    No harm is done, as what is kept is written whole or not at all.
    """
    for child in multiprocessing.active_children():
        if child.pid is not None:
            with suppress(OSError):
                os.kill(child.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    cleaning = threading.Thread(target=atexit._run_exitfuncs, daemon=True)  # shared memory is given back
    cleaning.start()
    cleaning.join(CLEANING)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


@contextmanager
def ending(last: bool = False) -> Iterator[Ending]:
    """What ends the run inside; a signal that is ignored, as under `nohup`, stays so.

    After the last run of a process no signal is handled any more: all is written, and a signal that arrives now must not turn
    success into failure.
    """
    found = Ending()
    if threading.current_thread() is not threading.main_thread():  # no other may handle signals
        yield found
        return
    before = {number: handler for number in SIGNALS if (handler := signal.getsignal(number)) != signal.SIG_IGN}
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    earlier = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    threading.Thread(target=found.watch, args=[reading], daemon=True).start()
    for number in before:
        signal.signal(number, found.interrupt)
    try:
        yield found
    finally:
        signal.set_wakeup_fd(earlier)
        if not found.came:
            os.close(writing)
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if found.came or last else handler)
