"""Kinds of values that settings have: sections, ranges, choices, and sequences of them.

A section of a config is described by a pydantic model, a `Section`: one line per key with its type, its range or
choices, and its meaning with unit. `settings.check` checks a config by it and describes every key in words, for error
messages and for the documentation.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError, core_schema

INT32 = 2**31 - 1  # steps and counts end up in int32
CONFLICT = 'conflict'  # type of the errors of `conflict`
VALID = 'valid'  # entry of a JSON schema: what is valid, in words


class Section(BaseModel):
    """A section of a config: every key is described, every described key is required unless it has a default."""

    model_config = ConfigDict(extra='forbid', strict=True, frozen=True, allow_inf_nan=False, protected_namespaces=())


def about(meaning: str, **default: Any) -> Any:
    """The meaning of a key, with its unit; `default=` where configs may leave the key out."""
    return Field(description=meaning, **default)


def conflict(message: str) -> PydanticCustomError:
    """The error of settings that are valid, but not together. `message` names them and says what to do."""
    return PydanticCustomError(CONFLICT, '{message}', {'message': message})


def within(least: float, most: float, multiple_of: int | None = None) -> Any:
    """Numbers from `least` to `most`, both included."""
    return Field(ge=least, le=most, multiple_of=multiple_of)


def above(bound: float, most: float) -> Any:
    """Numbers greater than `bound` and up to `most`."""
    return Field(gt=bound, le=most)


def shares() -> Any:
    """Numbers from 0, included, to 1, excluded."""
    return Field(ge=0, lt=1)


def entries(least: int = 0, most: int = 100) -> Any:
    """Numbers of entries of a sequence."""
    return Field(min_length=least, max_length=most)


def in_words(valid: str) -> Any:
    """What is valid, in words, for kinds that a range does not describe."""
    return WithJsonSchema({VALID: valid})


@dataclass(frozen=True)
class OneOf:
    """Strings among `names`."""

    names: Iterable[str]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.literal_schema(list(self.names))


@dataclass(frozen=True)
class OneOrEach:
    """One of `names` for all variables, or a sequence with one for each."""

    names: Iterable[str]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        one = core_schema.literal_schema(list(self.names))
        each = core_schema.tuple_variable_schema(one, min_length=1)
        return core_schema.no_info_before_validator_function(as_tuple, each)


class Distinct:
    """Sequences without duplicates."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(distinct, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {**handler(schema), 'uniqueItems': True}


def distinct(values: tuple) -> tuple:
    """Returns `values`. Raises ValueError for duplicates."""
    if len(set(values)) < len(values):
        raise ValueError('duplicates')
    return values


def as_tuple(value: Any) -> Any:
    """A single string as a sequence of one."""
    return (value,) if isinstance(value, str) else value


def rising(values: Sequence[float]) -> Sequence[float]:
    """Returns `values`. Raises ValueError unless they increase."""
    if not all(low < high for low, high in pairwise(values)):
        raise ValueError('not in increasing order')
    return values


Name = Annotated[str, Field(min_length=1, max_length=200)]
Seed = Annotated[int, within(0, 2**32 - 1)]
Count = Annotated[int, within(1, INT32)]
Members = Annotated[int, within(1, 10_000)]
Cells = Annotated[int, within(1, 2**20)]
Width = Annotated[int, within(1, 4096)]
Widths = Annotated[tuple[Width, ...], entries(1, 12)]
Blocks = Annotated[int, within(1, 200)]
Dtype = Annotated[str, OneOf(('float32', 'bfloat16'))]
