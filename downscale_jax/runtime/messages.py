"""Messages to the person at the terminal: progress to stdout, warnings to stderr, from the first process only.

They go through the logger `downscale_jax`, which is silent below warnings until a program calls `to_terminal`.
"""

import logging
import sys

import jax
from tqdm import tqdm

LOGGER = logging.getLogger('downscale_jax')


def info(text: str) -> None:
    """Reports progress or a result."""
    LOGGER.info(text)


def warning(text: str) -> None:
    """Reports something that the user should look at."""
    LOGGER.warning(text)


def to_terminal() -> None:
    """Shows messages on the terminal; for programs, called once at the start."""
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False
    LOGGER.handlers[:] = [_Terminal()]


class _Terminal(logging.Handler):
    """Looks up stdout and stderr at each message, since both may be redirected; leaves progress bars whole."""

    def emit(self, record: logging.LogRecord) -> None:
        if jax.process_index() == 0:
            if record.levelno >= logging.WARNING:
                tqdm.write(f'warning: {record.getMessage()}', sys.stderr)
            else:
                tqdm.write(record.getMessage(), sys.stdout)
