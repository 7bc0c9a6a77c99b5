"""The one exception for mistakes that a user can mend."""

import difflib
import os
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NoReturn


class UserError(ValueError):
    """A user's mistake, told in one line: the thing, what was found, what was expected, what to do.

    main.py prints the line on stderr and exits with status 2; from Python it is an ordinary ValueError.
    """

    def __init__(self, message: str):
        super().__init__(' '.join(message.split()))


@contextmanager
def exit_on_user_error() -> Iterator[None]:
    """Around a program: a UserError ends it with one line on stderr and exit status 2. One of several processes ends at
    once, whatever the error."""
    try:
        yield
    except UserError as error:
        print(f'error: {error}', file=sys.stderr, flush=True)
        _leave(2)
    except Exception:
        if not several():
            raise
        traceback.print_exc()
        _leave(1)


def several() -> bool:
    """Whether this process was started as one of several (`parallel.initialize`)."""
    return 'JAX_COORDINATOR_ADDRESS' in os.environ


def _leave(status: int) -> NoReturn:
    if several():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)  # sys.exit would wait for the other processes, which wait for this one
    sys.exit(status)


def nearest(name: str, options: Iterable[str], otherwise: str = '') -> str:
    """Ends an error message with the valid name nearest to `name`, or with `otherwise`, by default all valid names."""
    options = sorted(options)
    match = difflib.get_close_matches(name, options, n=1)
    return f"did you mean '{match[0]}'?" if match else otherwise or f'valid are: {", ".join(options) or "none"}'
