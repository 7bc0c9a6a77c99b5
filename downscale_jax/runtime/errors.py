"""The one exception for mistakes that a user can mend."""

import difflib
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class UserError(ValueError):
    """A user's mistake, told in one line: the thing, what was found, what was expected, what to do.

    main.py prints the line on stderr and exits with status 2; from Python it is an ordinary ValueError.
    """

    def __init__(self, message: str):
        super().__init__(' '.join(message.split()))


@contextmanager
def told() -> Iterator[None]:
    """Around a program: a UserError ends it with one line on stderr and exit status 2."""
    try:
        yield
    except UserError as error:
        print(f'error: {error}', file=sys.stderr, flush=True)
        sys.exit(2)


def nearest(name: str, options: Iterable[str]) -> str:
    """Ends an error message with the valid name nearest to `name`, or with all valid names."""
    options = sorted(options)
    match = difflib.get_close_matches(name, options, n=1)
    return f"did you mean '{match[0]}'?" if match else f'valid are: {", ".join(options) or "none"}'
