"""The part of JSON Schema that arguments of commands are described in, and how a value is held against it.

``type`` (object, array, string, integer, boolean), ``properties``, ``required``, ``additionalProperties``
(false alone), ``items``, ``maxItems``, ``enum``, ``minimum``, ``maximum``, ``minLength``, ``maxLength`` and
``pattern`` (over the whole text). A word that is not one of these is a fault of the program.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from hwledger.errors import MalformedError

_TYPES: Final[Mapping[str, Callable[[Any], bool]]] = {
    "object": lambda value: isinstance(value, Mapping),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: type(value) is int,
    "boolean": lambda value: isinstance(value, bool),
}
_HOLDS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "type": lambda value, told: _TYPES[told](value),
    "enum": lambda value, told: value in told,
    "minimum": lambda value, told: value >= told,
    "maximum": lambda value, told: value <= told,
    "minLength": lambda value, told: len(value) >= told,
    "maxLength": lambda value, told: len(value) <= told,
    "maxItems": lambda value, told: len(value) <= told,
    "pattern": lambda value, told: re.fullmatch(told, value) is not None,
}
_ABOUT: Final = frozenset({"description", "properties", "required", "additionalProperties", "items"})


def check(schema: Mapping[str, Any], value: Any, where: str) -> None:
    """Hold a value against a schema, which names its ``type`` first.

    Raises:
        MalformedError: it does not satisfy it; the sentence says where.
        ValueError: the schema holds a word that is not known here.
    """
    for word, told in schema.items():
        if word in _ABOUT:
            continue
        if word not in _HOLDS:
            raise ValueError(f"{where}: the word {word!r} of its schema is not known")
        if not _HOLDS[word](value, told):
            raise MalformedError(f"{where} is {_shown(value)} and has to have {word} {told}")
    if schema["type"] == "object":
        _check_object(schema, value, where)
    for number, one in enumerate(value if "items" in schema else ()):
        check(schema["items"], one, f"{where}[{number}]")


def _check_object(schema: Mapping[str, Any], value: Mapping[str, Any], where: str) -> None:
    known = schema.get("properties", {})
    missing = sorted(set(schema.get("required", ())) - value.keys())
    if missing:
        raise MalformedError(f"{where} lacks {', '.join(missing)}")
    for name, one in value.items():
        if name in known:
            check(known[name], one, f"{where}.{name}")
        elif schema.get("additionalProperties") is False:
            raise MalformedError(f"{where} has {_shown(name)}; known are: {', '.join(known) or 'none'}")


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004 - what a sentence bears
