"""The words that a schema is declared in: pydantic's core, told directly what it otherwise derives from classes.

Importing pydantic and deriving takes longer than checking a thousand services does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from pydantic_core import CoreSchema, SchemaValidator, core_schema
from pydantic_core.core_schema import ExtraBehavior, TypedDictField

TEXT = core_schema.str_schema()
BOOLEAN = core_schema.bool_schema()
INTEGER = core_schema.int_schema()
NUMBER = core_schema.float_schema()
ANYTHING = core_schema.any_schema()

_STRICT = core_schema.CoreConfig(strict=True)  # "5" is no number, 1 no boolean; said in every mapping, for none inherits it

Fields = dict[str, TypedDictField]


def integer(*, least: int, most: int | None = None) -> CoreSchema:
    """A whole number within bounds, both included."""
    return core_schema.int_schema(ge=least, le=most)


def one_of(*words: str) -> CoreSchema:
    return core_schema.literal_schema(list(words))


def list_of(item: CoreSchema) -> CoreSchema:
    return core_schema.list_schema(item)


def mapping_to(value: CoreSchema) -> CoreSchema:
    """Any keys, as in labels."""
    return core_schema.dict_schema(TEXT, value)


def optional(schema: CoreSchema) -> CoreSchema:
    """The same, or null."""
    return core_schema.nullable_schema(schema)


def before(read: Callable[[Any], Any], schema: CoreSchema) -> CoreSchema:
    """What `read` makes of the raw value must fit the schema."""
    return core_schema.no_info_before_validator_function(read, schema)


def after(schema: CoreSchema, check: Callable[[Any], Any]) -> CoreSchema:
    """What fits the schema becomes what `check` makes of it."""
    return core_schema.no_info_after_validator_function(check, schema)


def required(**keys: CoreSchema) -> Fields:
    """The keys that a mapping may not leave out; all others may be absent, and then stay so."""
    return {key: core_schema.typed_dict_field(value, required=True) for key, value in keys.items()}


def closed(needed: Fields | None = None, /, **keys: CoreSchema) -> CoreSchema:
    """A mapping with these keys and no others."""
    return _mapping(needed or {}, keys, others="forbid")


def lenient(**keys: CoreSchema) -> CoreSchema:
    """A mapping with these keys, from which others are dropped."""
    return _mapping({}, keys, others="ignore")


def _mapping(needed: Fields, keys: Mapping[str, CoreSchema], *, others: ExtraBehavior) -> CoreSchema:
    fields = needed | {key: core_schema.typed_dict_field(value, required=False) for key, value in keys.items()}
    return core_schema.typed_dict_schema(fields, extra_behavior=others, config=_STRICT)


class Section:
    """A closed mapping that is checked by itself."""

    def __init__(self, **keys: CoreSchema) -> None:
        self._schema = closed(**keys)

    @cached_property
    def validator(self) -> SchemaValidator:
        """Compiled when the first such section is met: most commands read no file."""
        return SchemaValidator(self._schema)
