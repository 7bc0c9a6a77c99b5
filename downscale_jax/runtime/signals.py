"""End of a program by SIGINT (Ctrl-C) or SIGTERM: one line on stderr, exit status 130 or 143, nothing half-written.

Programs call `exit_on_signals` before their slow imports and `raise_on_signals` before they write anything. Training
catches both signals itself and saves a checkpoint (`training.loop`). Imports nothing that takes time.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent import futures
from typing import Any, NoReturn, TypeVar

T = TypeVar('T')
SIGNALS = (signal.SIGINT, signal.SIGTERM)
MOMENT = 0.05  # seconds
POLL = 0.2  # seconds after which a waiting main thread looks for signals


class Interrupted(KeyboardInterrupt):
    """Raised in the main thread by the signal `number`; as a KeyboardInterrupt it passes through `except Exception`."""

    def __init__(self, number: int):
        super().__init__(f'stopped by {signal.Signals(number).name}: run the same command to resume')
        self.number = number


def exit_on_signals() -> None:
    """From now on either signal ends the process at once."""
    for number in SIGNALS:
        signal.signal(number, _exit)


def raise_on_signals() -> None:
    """From now on the first signal raises `Interrupted`, so that partial files are removed; another ends the process.

    A library may drop the exception, in a destructor for instance: then it is raised once more, a moment later.
    """
    report = sys.unraisablehook

    def report_or_repeat(event: Any) -> None:
        if not isinstance(event.exc_value, Interrupted):
            return report(event)
        _raise_on_first()
        again = signal.pthread_kill, (threading.main_thread().ident, event.exc_value.number)
        threading.Timer(MOMENT, *again).start()

    sys.unraisablehook = report_or_repeat
    _raise_on_first()


def leave(interrupted: Interrupted) -> NoReturn:
    """Prints the line and ends the process, without waiting for its threads."""
    sys.stdout.flush()
    print(interrupted, file=sys.stderr, flush=True)
    os._exit(128 + interrupted.number)


def _raise_on_first() -> None:
    for number in SIGNALS:
        signal.signal(number, _raise)


def _exit(number: int, frame: Any) -> NoReturn:
    leave(Interrupted(number))


def _raise(number: int, frame: Any) -> NoReturn:
    exit_on_signals()
    raise Interrupted(number)


def heeding_signals(work: Callable[[], T]) -> T:
    """Runs `work` in another thread while the main thread handles signals, and returns its result.

    For waits in C++, during which the main thread would handle no signals, and for libraries with locks, which would
    stay locked if a signal raised its exception within them.
    """
    done: futures.Future[T] = futures.Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    while not done.done():
        # without a limit, a signal that arrives just before the main thread begins to wait would not wake it
        futures.wait([done], timeout=POLL)
    return done.result()
