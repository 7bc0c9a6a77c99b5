"""UserError, the exception for mistakes that a user can correct, and its form on the command line."""

import difflib
import os
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from downscale_jax.runtime import peers
from downscale_jax.runtime.signals import Interrupted, leave

LISTED = 20  # names of a message, at most


class UserError(ValueError):
    """A user's mistake, described in one line: the setting, its value, what is valid, what to do.

    main.py prints the line on stderr and exits with status 2. In Python it is an ordinary ValueError.
    """

    def __init__(self, message: str):
        super().__init__(' '.join(message.split()))


class WrongTypeError(UserError, TypeError):
    """An argument of a wrong type, given in Python."""


class NotProvidedError(UserError, AttributeError):
    """A method that another kind of model has."""


@contextmanager
def exit_on_user_error() -> Iterator[None]:
    """Context of a program: a UserError ends it with one line on stderr and exit status 2, a signal with 130 or 143.

    In a distributed run any error ends the process at once.
    """
    try:
        yield
    except Interrupted as interrupted:
        leave(interrupted)
    except UserError as error:
        print(f'error: {error}', file=sys.stderr, flush=True)
        _leave(2)
    except Exception as error:
        if not is_multiprocess():
            raise
        if peers.is_failure(str(error)):
            peers.leave()
        traceback.print_exc()
        _leave(1)


def is_multiprocess() -> bool:
    """Whether this process belongs to a distributed run (`parallel.initialize`)."""
    return 'JAX_COORDINATOR_ADDRESS' in os.environ


def _leave(status: int) -> NoReturn:
    if is_multiprocess():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)  # sys.exit would wait for the other processes, which wait for this process
    sys.exit(status)


def suggestion(name: str, options: Iterable[str], otherwise: str = '') -> str:
    """End of a message about an unknown `name`: the closest valid name, else `otherwise`, else the valid names."""
    options = sorted(options)
    match = difflib.get_close_matches(name, options, n=1)
    rest = f', and {len(options) - LISTED} more' if len(options) > LISTED else ''
    listed = f'valid are: {", ".join(options[:LISTED]) or "none"}{rest}'
    return f"did you mean '{match[0]}'?" if match else otherwise or listed
