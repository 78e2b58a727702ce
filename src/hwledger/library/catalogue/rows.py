"""The rows of a catalogue: one JSON object per line, and one about the catalogue itself where it has one.

A row has an id, short names, kinds, a source and those keys of the model's config that shape it. The first
line may instead be ``{"schema": "hwledger.catalogue/1", "date": "2026-01-31"}``.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

SCHEMA: Final = "hwledger.catalogue/1"


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of the catalogue.

    Attributes:
        id: publisher and name (``Qwen/Qwen3-32B``).
        aliases: short names that no other model has.
        tags: what kind of model it is: ``dense``, ``moe``, ``mla``, ``swa``, ``hybrid``, ``ssm``,
            ``encoder-decoder``, ``encoder``, ``vision``, ``audio``, ``quantised``.
        config: the keys of its config that shape it.
        source: where the facts are from.
    """

    id: str
    aliases: tuple[str, ...]
    tags: tuple[str, ...]
    config: Mapping[str, Any]
    source: str

    @property
    def name(self) -> str:
        """The id without its publisher."""
        return self.id.rpartition("/")[2]

    @property
    def model_type(self) -> str:
        """The architecture's name in its config."""
        return str(self.config.get("model_type", ""))


def read_rows(raw: bytes) -> tuple[Entry, ...]:
    """Return the models of a catalogue whose rows were checked before, ordered as they stand."""
    rows = (json.loads(line) for _, line in lines(raw))
    return tuple(to_entry(row) for row in rows if not is_about(row))


def lines(raw: bytes) -> Iterator[tuple[int, str]]:
    """Yield the number and the text of every line that is not blank.

    Lines end with a line feed and nothing else: a text in JSON may hold the other separators.

    Raises:
        UnicodeDecodeError: the text is no UTF-8.
    """
    for number, line in enumerate(raw.decode("utf-8").split("\n"), 1):
        if line and not line.isspace():
            yield number, line


def is_about(row: Mapping[str, Any]) -> bool:
    """Return whether a row is about the catalogue and describes no model."""
    return "schema" in row


def to_entry(row: Mapping[str, Any]) -> Entry:
    """Return the model of one checked row."""
    return Entry(row["id"], tuple(row["aliases"]), tuple(row["tags"]), row["config"], row["source"])
