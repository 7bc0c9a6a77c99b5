"""Check of a config against its description, and the description of every key in words."""

from collections.abc import Mapping
from functools import cache
from itertools import takewhile
from typing import Any, NamedTuple

from pydantic import ValidationError

from downscale_jax.runtime.errors import UserError, suggestion
from downscale_jax.settings.kinds import CONFLICT, VALID, Section

PHASE = 'PHASE'  # stands for the names of phases, which a config chooses itself

POWERS = {2**31 - 1: '2^31 - 1', 2**32 - 1: '2^32 - 1'}


class Setting(NamedTuple):
    """A key in words."""

    valid: str  # which values are valid
    meaning: str


def check(description: type[Section], config: Mapping[str, Any], prefix: str = '') -> None:
    """Raises UserError, in one line, for all settings of `config` that `description` does not allow."""
    settings = as_tuples(config)
    try:
        description.model_validate(settings)
    except ValidationError as error:
        known = describe(description)
        faults = [fault(details, settings, known, prefix) for details in error.errors(include_url=False)]
        raise UserError('; '.join(dict.fromkeys(faults))) from None


def as_tuples(tree: Any) -> Any:
    """Converts lists, the form of sequences in config.json, to tuples."""
    if isinstance(tree, Mapping):
        return {key: as_tuples(value) for key, value in tree.items()}
    return tuple(map(as_tuples, tree)) if isinstance(tree, list | tuple) else tree


@cache
def describe(section: type[Section], prefix: str = '') -> Mapping[str, Setting]:
    """Every key of a section and of those within it: {'data.patch': Setting}, in the order of the description."""
    schema = section.model_json_schema()
    known: dict[str, Setting] = {}
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            known |= describe(field.annotation, f'{prefix}{name}.')
        else:
            known[prefix + name] = Setting(in_words(schema['properties'][name]), field.description or '')
    if (inner := chosen(section)) is not None:
        known |= describe(inner, f'{prefix}{PHASE}.')
    return known


def chosen(section: type[Section]) -> type[Section] | None:
    """The section that a config may add under names of its own, if any."""
    return getattr(section, 'CHOSEN', None)


def fault(details: Any, settings: Any, known: Mapping[str, Setting], prefix: str) -> str:
    """One error of pydantic as a message: key, value, valid values."""
    if details['type'] == CONFLICT:
        return details['msg']
    path = tuple(takewhile(lambda part: isinstance(part, str), details['loc']))
    key, value = prefix + '.'.join(path), settings
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    described = known.get('.'.join(path)) or known.get('.'.join((*path[:-2], PHASE, *path[-1:])))
    if described is None or details['type'] == 'extra_forbidden':
        if details['type'] == 'model_type':
            return f'{key}={value!r}: must be a section of settings'
        return f"'{key}' is not a setting of this system: {suggestion(key, [prefix + name for name in known])}"
    if details['type'] == 'missing':
        return f'{key} is missing: it must be {described.valid}'
    if details['type'] == 'literal_error' and isinstance(details['input'], str):
        options = [option.strip("'") for option in options_of(details)]
        return f'{key}={details["input"]!r} is unknown: {suggestion(details["input"], options)}'
    return f'{key}={value!r}: must be {described.valid}'


def options_of(details: Any) -> list[str]:
    """The names that an error of pydantic lists as valid: "'a', 'b' or 'c'"."""
    return details['ctx']['expected'].replace(' or ', ', ').split(', ')


def in_words(schema: Mapping[str, Any], plural: bool = False) -> str:
    """What a JSON schema allows: 'an integer of at least 1 and at most 9'."""
    if VALID in schema:
        return schema[VALID]
    if 'anyOf' in schema:
        return ', or '.join(in_words(option, plural) for option in schema['anyOf'])
    if 'enum' in schema or 'const' in schema:
        return ' or '.join(map(repr, schema.get('enum', [schema.get('const')])))
    kind = schema.get('type')
    if kind == 'array':
        return sequence_in_words(schema)
    if kind in ('integer', 'number'):
        return number_in_words(schema, plural)
    return {
        'string': 'strings' if plural else 'a string' + ', not empty' * bool(schema.get('minLength')),
        'boolean': 'True or False',
        'null': 'None',
    }[str(kind)]


def number_in_words(schema: Mapping[str, Any], plural: bool) -> str:
    """A range of numbers."""
    noun = {'integer': 'integer', 'number': 'number'}[schema['type']]
    even = 'even ' if schema.get('multipleOf') == 2 else ''
    article = '' if plural else 'an ' if even or noun == 'integer' else 'a '
    bounds = [
        f'{text} {POWERS.get(schema[key], schema[key] if isinstance(schema[key], int) else f"{schema[key]:g}")}'
        for key, text in (
            ('minimum', 'at least'),
            ('exclusiveMinimum', 'more than'),
            ('maximum', 'at most'),
            ('exclusiveMaximum', 'less than'),
        )
        if key in schema
    ]
    if (multiple := schema.get('multipleOf')) and not even:
        bounds.append(f'a multiple of {multiple}')
    return f'{article}{even}{noun}{"s" * plural}' + (f' of {" and ".join(bounds)}' if bounds else '')


def sequence_in_words(schema: Mapping[str, Any]) -> str:
    """A sequence of any or of a fixed length."""
    if 'prefixItems' in schema:
        return f'({", ".join(in_words(item) for item in schema["prefixItems"])})'
    least = schema.get('minItems', 0)
    size = '' if not least else ', not empty' if least == 1 else f', {least} or more'
    return f'a sequence of {in_words(schema["items"], True)}{size}' + ', without duplicates' * bool(
        schema.get('uniqueItems')
    )
