"""Where hwledger keeps what outlives one call, and how paths are printed and typed."""

import contextlib
import os
import re
from pathlib import Path
from typing import Final

_BYTE: Final = rb"\\x([0-9a-fA-F]{2})"


def data_dir() -> Path:
    """Return the folder of what the user chose to install; it need not exist.

    It is ``HWLEDGER_DATA_DIR`` where that is set, and else the operating system's place for a program's data.
    """
    chosen = os.environ.get("HWLEDGER_DATA_DIR")
    if chosen:
        return Path(chosen)
    from platformdirs import user_data_path  # noqa: PLC0415 - start-up time

    return user_data_path("hwledger", appauthor=False)


def cache_dir() -> Path:
    """Return the folder of what may be deleted at any time; it need not exist.

    It is ``HWLEDGER_CACHE_DIR`` where that is set, and else the operating system's place for caches.
    """
    chosen = os.environ.get("HWLEDGER_CACHE_DIR")
    if chosen:
        return Path(chosen)
    from platformdirs import user_cache_path  # noqa: PLC0415 - start-up time

    return user_cache_path("hwledger", appauthor=False)


def shown(path: str | os.PathLike[str]) -> str:
    r"""Return a path as it can be printed and typed: bytes that are no text, and controls, as ``\xff``.

    ``typed`` finds the file that such a text means.
    """
    text = os.fspath(path)
    return text if text.isprintable() else "".join(map(_printable, text))


def typed(text: str) -> Path:
    r"""Return the path that people mean by a text: ``~`` is their home, ``\xff`` a byte where that is a file.

    A file that is called by the text itself comes first.
    """
    path = Path(text)
    with contextlib.suppress(RuntimeError):  # nobody is called like that
        path = path.expanduser()
    if "\\x" not in text:
        return path
    raw = str(path).encode("utf-8", "surrogateescape")
    meant = Path(os.fsdecode(re.sub(_BYTE, lambda match: bytes([int(match[1], 16)]), raw)))
    with contextlib.suppress(OSError, ValueError):  # a name too long, or with a NUL byte
        if not path.exists() and meant.exists():
            return meant
    return path


def _printable(character: str) -> str:
    if character.isprintable():
        return character
    kind = "surrogateescape" if "\udc80" <= character <= "\udcff" else "surrogatepass"
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", kind))
