"""The catalogue in force: the one in the package until another one was installed."""

from functools import cache, lru_cache
from pathlib import Path
from typing import Final

from hwledger.errors import InputError
from hwledger.library.catalogue.rows import read_rows
from hwledger.library.catalogue.table import Table
from hwledger.library.paths import data_dir
from hwledger.shipped import shipped_bytes as packaged_bytes

STATE: Final = "state.json"
PACKAGE: Final = "hwledger.library"
CATALOGUE: Final = "data/catalogue.jsonl"


def in_force() -> Table:
    """Return the catalogue to look names up in.

    Until one is installed this costs one ``stat``; what was read is kept until the record of what is
    installed changes.

    Raises:
        MalformedError: an installed catalogue is in force, and it or the record of it is gone or damaged.
        InputError: the record cannot be read.
    """
    folder = catalogue_folder()
    try:
        found = (folder / STATE).stat()
    except (FileNotFoundError, NotADirectoryError):
        return shipped()
    except OSError as error:
        raise InputError(
            f"{folder}: installed catalogues cannot be looked up ({error.strerror}); "
            "make the folder readable or name another one in HWLEDGER_DATA_DIR"
        ) from None
    return _recorded(folder, (found.st_mtime_ns, found.st_size, found.st_ino))


def catalogue_folder() -> Path:
    """Return the folder of installed catalogues; it need not exist."""
    return data_dir() / "catalogue"


def shipped_path() -> Path:
    """Return the file of the catalogue in the package."""
    from importlib.resources import files  # noqa: PLC0415 - start-up time

    return Path(str(files(PACKAGE).joinpath(CATALOGUE)))


def shipped_bytes() -> bytes:
    """Return the catalogue in the package as it lies there."""
    return packaged_bytes(PACKAGE, CATALOGUE)


@cache
def shipped() -> Table:
    """Return the catalogue in the package, whichever is in force."""
    return Table(read_rows(shipped_bytes()))


@lru_cache(maxsize=1)
def _recorded(folder: Path, written: tuple[int, int, int]) -> Table:
    """Return what the record puts in force; ``written`` tells one writing of the record from the next."""
    from hwledger.library.catalogue.state import read_installed, read_state  # noqa: PLC0415 - start-up time

    del written
    active = read_state(folder).active_one
    return shipped() if active is None else Table(read_rows(read_installed(folder, active)))


def forget() -> None:
    """Read the record again next time, though a coarse clock may not tell it from the one before."""
    _recorded.cache_clear()
