"""Which files of a folder are one model, and whether all of them are there."""

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from hwledger.library.hub.choose import GgufModel, gguf_models
from hwledger.library.local.model import Stat

WEIGHTS: Final = (".safetensors", ".npz", ".bin", ".pt", ".pth", ".ckpt")
_SHARD: Final = re.compile(r"(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<end>\.\w+)", re.DOTALL)


def gguf_parts(files: Collection[Stat]) -> Iterator[tuple[GgufModel, tuple[Stat, ...]]]:
    """Yield the GGUF models among files, each with its own files."""
    stored = [file for file in files if file.name.lower().endswith(".gguf")]
    if not stored:
        return
    by_stem: dict[str, list[Stat]] = {}
    for file in stored:
        by_stem.setdefault(stem_of(file.name), []).append(file)
    for model in gguf_models({file.name: file.size for file in stored}):
        yield model, tuple(by_stem[stem_of(model.path)])


def stem_of(name: str) -> str:
    """Return what the names of all parts of a model have in common."""
    match = _SHARD.fullmatch(name)
    return match["stem"] if match else name


def lacking(names: Iterable[str], gone: Iterable[str] = ()) -> str:
    """Return a sentence where a set of numbered files is not whole, or a link leads nowhere; else nothing.

    Args:
        names: files that are there.
        gone: links to weights whose content is not there.
    """
    lost = sorted(gone)
    sets: dict[tuple[str, str, int], set[int]] = {}
    for here, names_of in ((True, names), (False, lost)):
        for name in names_of:
            if match := _SHARD.fullmatch(name):
                found = sets.setdefault((match["stem"], match["end"], int(match["count"])), set())
                found |= {int(match["number"])} if here else set()
    for (_, _, count), found in sorted(sets.items()):
        if len(found) < count:
            return incomplete(len(found), count)
    return f"incomplete: the content of {lost[0]} is not here" if lost else ""


def incomplete(here: int, count: int) -> str:
    """Return the sentence that says how many parts of a model are there."""
    return f"incomplete: {here} of {count} shards {'is' if here == 1 else 'are'} here"
