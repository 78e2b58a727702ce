"""What lies in a folder: one pass over its entries, without opening any."""

import os
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Final

from hwledger.library.local.model import Stat

MOST_FILES: Final = 100_000
DEEPEST: Final = 32


def walk(folder: str | Path) -> tuple[list[Stat], list[str]]:
    """Return the files in a folder and below it by name, and the links whose content is gone.

    Links to files count as the files; links to folders are not followed, so nothing is met twice. What
    cannot be read counts as absent.
    """
    found: list[Stat] = []
    gone: list[str] = []
    waiting = [(str(folder), "", 0)]
    while waiting and len(found) < MOST_FILES:
        path, prefix, depth = waiting.pop()
        for entry in entries(path):
            name = prefix + entry.name
            try:
                stat = entry.stat()
            except (OSError, ValueError):
                gone.append(name)
                continue
            if S_ISREG(stat.st_mode):
                found.append(Stat(name, stat.st_size, stat.st_mtime_ns, stat.st_ino, stat.st_dev))
            elif S_ISDIR(stat.st_mode) and depth < DEEPEST and not entry.is_symlink():
                waiting.append((entry.path, f"{name}/", depth + 1))
    return sorted(found), sorted(gone)


def stat_of(path: Path, name: str = "") -> Iterator[Stat]:
    """Yield what is known of one file under a name; nothing where it is not there."""
    try:
        stat = path.stat()
    except (OSError, ValueError):
        return
    if S_ISREG(stat.st_mode):
        yield Stat(name or path.name, stat.st_size, stat.st_mtime_ns, stat.st_ino, stat.st_dev)


def entries(folder: str | Path) -> "list[os.DirEntry[str]]":
    """Return what lies directly in a folder, by name; nothing where it cannot be read."""
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=attrgetter("name"))
    except (OSError, ValueError):
        return []


def is_folder(entry: "os.DirEntry[str]") -> bool:
    """Whether an entry is a folder or leads to one."""
    try:
        return entry.is_dir()
    except (OSError, ValueError):
        return False
