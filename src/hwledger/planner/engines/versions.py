"""Versions of engines that number their releases (``0.33.0``)."""

import re
from typing import Final

from hwledger.errors import UsageError

_DOTTED: Final = r"v?(\d{1,6}(?:\.\d{1,6}){0,3})(?:[.+-]?[a-z][\w.+-]*)?"


def dotted(text: str) -> tuple[int, ...] | None:
    """Return the numbers of a release (``v5.23.0.dev1`` is ``(5, 23, 0)``), or ``None``."""
    match = re.fullmatch(_DOTTED, text.strip(), re.IGNORECASE)
    return tuple(int(part) for part in match[1].split(".")) if match else None


def check_dotted(engine: str, text: str, oldest: str) -> str:
    """Return a release number without its decoration.

    Raises:
        UsageError: it is no release number, or older than ``oldest``.
    """
    numbers = dotted(text)
    if numbers is None:
        raise UsageError(f"{text!r} is no version of {engine}; write it like {oldest}")
    if numbers < (dotted(oldest) or ()):
        raise UsageError(f"{engine} {text} is older than the rules here reach; give {oldest} or later")
    return ".".join(map(str, numbers))


def is_newer(version: str, newest: str) -> bool:
    """Whether a version, as a profile writes it (``0.33.0``, ``b11549``), is newer than ``newest``."""
    one, other = ([int(part) for part in re.findall(r"\d+", text)[:4]] for text in (version, newest))
    return one > other
