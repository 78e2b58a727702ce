"""What installed packages register in an entry-point group, and loading it.

``importlib.metadata`` answers the same, and takes longer to import, and then to read the metadata of every
package, than a plan takes to compute. Read here are the files that it reads, ``entry_points.txt`` beside the
packages; where packages lie elsewhere than in folders it is asked.
"""

import os
import sys
from collections.abc import Iterator
from functools import cache, reduce
from importlib import import_module
from typing import Any, Final, NamedTuple

_KINDS: Final = (".dist-info", ".egg-info")


class Extension(NamedTuple):
    """One thing that a package registers.

    Attributes:
        group: what it extends: ``hwledger.engines``.
        name: what it is called there.
        target: where it is: ``package.module:name``.
    """

    group: str
    name: str
    target: str

    def load(self) -> Any:
        """Import it and return it.

        Raises:
            ImportError, AttributeError: it is not where its package says.
        """
        module, _, path = self.target.partition("[")[0].partition(":")
        found = import_module(module.strip())
        return reduce(getattr, filter(None, path.strip().split(".")), found)


def extensions(group: str) -> tuple[Extension, ...]:
    """Return what is registered in a group; of two versions of a package the first on the path counts."""
    if any(map(_is_archive, sys.path)) or any(map(_finds_packages, sys.meta_path)):
        return _asked(group)
    return tuple(one for one in _registered(tuple(sys.path)) if one.group == group)


def _asked(group: str) -> tuple[Extension, ...]:
    from importlib.metadata import entry_points  # noqa: PLC0415 - start-up time

    return tuple(Extension(one.group, one.name, one.value) for one in entry_points(group=group))


@cache
def _registered(path: tuple[str, ...]) -> tuple[Extension, ...]:
    seen: set[str] = set()
    return tuple(one for place in path for one in _of_folder(place or ".", seen))


def _is_archive(place: str) -> bool:
    """Whether packages may lie in one file, or each in a folder of its own."""
    return place.endswith(".egg") or os.path.isfile(place)  # noqa: PTH113 - start-up time


def _finds_packages(finder: object) -> bool:
    """Whether a finder knows of packages that lie in none of the folders of the path."""
    ours = getattr(finder, "__name__", "") == "PathFinder"
    return not ours and hasattr(finder, "find_distributions")


def _of_folder(place: str, seen: set[str]) -> Iterator[Extension]:
    """Yield what the packages of a folder register that were not ``seen`` in a folder before it."""
    try:
        names = os.listdir(place)  # noqa: PTH208 - start-up time
    except OSError:
        return
    for name in names:
        if name.endswith(_KINDS) and (package := _package(name)) not in seen:
            seen.add(package)
            yield from _of_file(f"{place}/{name}/entry_points.txt")


def _package(name: str) -> str:
    """Return which package a folder of metadata describes, however its name is spelled."""
    return name.rpartition(".")[0].partition("-")[0].lower().replace(".", "_").replace("-", "_")


def _of_file(path: str) -> Iterator[Extension]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - start-up time
            lines = [line.strip() for line in file]
    except OSError:
        return
    group = ""
    for line in lines:
        if line.startswith("[") and line.endswith("]"):
            group = line[1:-1]
        elif line and not line.startswith("#"):
            name, _, target = line.partition("=")
            yield Extension(group, name.strip(), target.strip())
