"""End of a process of a distributed run because another process has died, in one line on stderr.

Either a collective operation fails with an exception, or JAX's client aborts the process: whichever comes first, with
dozens of lines from gloo and gRPC. JAX offers no working callback, and code in Python cannot run in an abort. Hence a
small child process reads what libraries in C++ write to stderr and prints one line for it when this process has ended.
"""

import ctypes
import os
import signal
import subprocess
import sys
from typing import NoReturn

FAILURES = (  # in messages
    'Gloo', 'by peer', 'JAX distributed service', 'coordination service', 'Socket closed',
    'Timed out while waiting for',
)  # fmt: skip
LINE = 'error: another process ended, or did not start: run the same command in all of them to resume'
READER = f"""
import sys
text = sys.stdin.buffer.read().decode(errors='replace')
sys.stderr.write('{LINE}\\n' if any(phrase in text for phrase in {FAILURES}) else text)
"""


def is_failure(message: str) -> bool:
    """Whether an error with this message shows that another process has died."""
    return any(phrase in message for phrase in FAILURES)


def leave() -> NoReturn:
    """Ends this process because another one has died; the reader prints the line."""
    os.write(2, FAILURES[0].encode())
    os._exit(1)


def watch() -> None:
    """Starts the reader; to be called once, by a process of a distributed run. Messages of Python are not affected.

    Other messages of libraries in C++ are shown when the process has ended.
    """
    sys.stderr.flush()
    end, start = os.pipe()
    # in a session of its own, so that Ctrl-C first ends the processes that it reads from
    subprocess.Popen([sys.executable, '-I', '-S', '-c', READER], stdin=end, start_new_session=True)
    sys.stderr = os.fdopen(os.dup(2), 'w', buffering=1)
    os.dup2(start, 2)
    os.close(start)
    os.close(end)
    system = ctypes.CDLL(None)
    system.signal(int(signal.SIGABRT), ctypes.cast(system._exit, ctypes.c_void_p))  # without a core dump
