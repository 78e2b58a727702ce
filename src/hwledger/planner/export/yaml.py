"""Plain YAML: mappings, lists, scalars and comments; every text is quoted, so none means anything else."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hwledger.planner.export.words import one_line


@dataclass(frozen=True, slots=True)
class Noted:
    """A node with a comment before it."""

    node: object
    why: str


def dump(node: Mapping[str, object]) -> str:
    """Return a document; keys are plain words, texts are double-quoted as in JSON."""
    return "\n".join(_lines(node, "")) + "\n"


def _lines(node: object, indent: str) -> Iterator[str]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _entry(f"{indent}{key}:", value, indent)
    elif isinstance(node, Sequence) and not isinstance(node, str):
        for value in node:
            yield from _item(value, indent)


def _entry(head: str, value: object, indent: str) -> Iterator[str]:
    if isinstance(value, Noted):
        yield f"{indent}# {one_line(value.why)}"
        value = value.node
    if _is_nested(value):
        yield head
        yield from _lines(value, indent + "  ")
    else:
        yield f"{head} {_scalar(value)}"


def _item(value: object, indent: str) -> Iterator[str]:
    if isinstance(value, Noted):
        yield f"{indent}# {one_line(value.why)}"
        value = value.node
    if not _is_nested(value):
        yield f"{indent}- {_scalar(value)}"
        return
    first, *rest = _lines(value, indent + "  ")
    yield f"{indent}- {first.strip()}"
    yield from rest


def _is_nested(value: object) -> bool:
    return isinstance(value, Mapping | list | tuple) and bool(value)


def _scalar(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
