"""Split models: all files of one model, checked to belong together."""

import re
from dataclasses import replace
from typing import Final

from hwledger.errors import MalformedError, MissingError
from hwledger.library.files import Files
from hwledger.library.gguf.reader import GgufHeader, read_gguf

_SHARD = re.compile(r"(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")
MOST_SHARDS: Final = 1024


def read_gguf_model(files: Files, name: str) -> GgufHeader:
    """Return the header of a model, whose files may be several; a split one is given by its first file.

    Raises:
        MissingError: the file, or one of the parts, is not there.
        MalformedError: a header is broken, the file is a later part, or the parts do not belong together.
    """
    path = f"{files.where}/{name}"
    match = _SHARD.fullmatch(name)
    if match and int(match["number"]) != 1:
        first = f"{match['stem']}-00001-of-{match['count']}.gguf"
        raise MalformedError(f"{path}: this is part {int(match['number'])} of a split model; give {first}")
    header = read_gguf(files, name)
    count = _integer(header, "split.count", 1)
    if count > 1 and not match:
        raise MalformedError(
            f"{path}: this is one of {count} parts, but its name is not -00001-of-{count:05}.gguf"
        )
    if not match or int(match["count"]) == 1:
        return header
    _check_part(path, header, 0, int(match["count"]))
    return _join(files, header, match["stem"], int(match["count"]))


def shard_names(name: str) -> list[str]:
    """Return the names of all files of a model whose first file is called so."""
    match = _SHARD.fullmatch(name)
    count = int(match["count"]) if match else 1
    if match is None or not 1 < count <= MOST_SHARDS:
        return [name]
    return [f"{match['stem']}-{number:05}-of-{count:05}.gguf" for number in range(1, count + 1)]


def _join(files: Files, first: GgufHeader, stem: str, count: int) -> GgufHeader:
    path = f"{files.where}/{stem}"
    if count > MOST_SHARDS:
        raise MalformedError(f"{path}: a model of {count} parts is more than can be read ({MOST_SHARDS})")
    names = [f"{stem}-{number:05}-of-{count:05}.gguf" for number in range(2, count + 1)]
    later = files.each(lambda name: _read_later(files, name, count), names)
    for number, (name, part) in enumerate(zip(names, later, strict=True), 1):
        _check_part(f"{files.where}/{name}", part, number, count)
    parts = [first, *later]
    tensors = tuple(tensor for part in parts for tensor in part.tensors)
    if len({tensor.name for tensor in tensors}) != len(tensors):
        raise MalformedError(f"{path}: two parts of the split model hold the same tensor")
    stated = _integer(first, "split.tensors.count", len(tensors))
    if stated != len(tensors):
        raise MalformedError(f"{path}: the parts hold {len(tensors)} tensors, the first one states {stated}")
    return replace(
        first,
        tensors=tensors,
        header_bytes=sum(part.header_bytes for part in parts),
        file_bytes=sum(part.file_bytes for part in parts),
        missing_data_bytes=sum(part.missing_data_bytes for part in parts),
    )


def _read_later(files: Files, name: str, count: int) -> GgufHeader:
    try:
        return read_gguf(files, name)
    except MissingError:
        raise MissingError(
            f"{files.where}/{name}: this part of the split model is missing; {count} parts are needed"
        ) from None


def _check_part(path: str, header: GgufHeader, number: int, count: int) -> None:
    stated = _integer(header, "split.no", number), _integer(header, "split.count", count)
    if stated != (number, count):
        raise MalformedError(
            f"{path}: the header says part {stated[0] + 1} of {stated[1]}, the name says {number + 1} of "
            f"{count}; were files swapped?"
        )


def _integer(header: GgufHeader, key: str, default: int) -> int:
    value = header.metadata.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise MalformedError(f"the key {key} is {value!r} and no whole number")
    return value
