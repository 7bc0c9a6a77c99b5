"""Command lines of experiments and benchmarks, with the rule of main.py: a mistake is one line and exit status 2."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from downscale_jax.runtime.errors import UserError, exit_on_user_error
from downscale_jax.runtime.signals import raise_on_signals

FIGURES = ('.png', '.pdf', '.svg')


class Parser(argparse.ArgumentParser):
    """A parser described by the docstring of its module. Raises UserError where argparse would print its usage."""

    def __init__(self, description: str | None = None, **options: Any):
        super().__init__(description=description, formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def error(self, message: str) -> NoReturn:
        raise UserError(message)


def run_program(main: Callable[[], int | None]) -> NoReturn:
    """Runs the `main` of a module as a program; its result is the exit status."""
    with exit_on_user_error():
        raise_on_signals()
        sys.exit(main())


def at_least(least: int) -> Callable[[str], int]:
    """The type of an argument that is an integer of `least` or more."""

    def integer(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least:
            raise argparse.ArgumentTypeError(f"'{text}' is invalid: an integer, at least {least}, is needed")
        return number

    return integer


def seed_number(text: str) -> int:
    """The type of an argument that is the seed of random numbers."""
    number = at_least(0)(text)
    if number >= 2**32:
        raise argparse.ArgumentTypeError(f"'{text}' is invalid: a seed is less than 2^32")
    return number


def figure_file(text: str) -> Path:
    """The type of an argument that is the file of a figure, in an existing folder."""
    path = Path(text)
    if path.suffix.lower() not in FIGURES:
        raise argparse.ArgumentTypeError(f"'{text}' is invalid: a file that ends in {', '.join(FIGURES)} is needed")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"'{text}' is invalid: make the folder '{path.parent}' first")
    return path
