"""Writing to the terminal: JSON as it is, everything else through rich."""

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from hwledger.units import whole_number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

PIPE_COLUMNS = 1 << 14
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def write_json(document: dict[str, Any]) -> None:
    """Write a document as JSON: indented on a terminal, one line in a pipe."""
    indent = 2 if sys.stdout.isatty() else None
    plain = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    text = json.dumps(document, indent=indent, ensure_ascii=plain, default=str)
    sys.stdout.write(text.encode("utf-8", "backslashreplace").decode("utf-8") + "\n")


def printable(text: str) -> str:
    """Return a text without what a terminal would act on: names come from files and servers of strangers.

    Control characters and marks that reverse the reading order are left out; lone surrogates (names that are
    no UTF-8) are shown as escapes.
    """
    kept = "".join(char for char in text if char in "\n\t" or not _acts(char))
    return kept.encode("utf-8", "backslashreplace").decode("utf-8")


def _acts(char: str) -> bool:
    return char < " " or "\x7f" <= char <= "\x9f" or char in _DIRECTIONS


STYLES = {"bold": 1, "dim": 2, "red": 31, "green": 32, "yellow": 33}


def styled(text: str, *styles: str) -> str:
    """Return a text in styles of ``STYLES`` where a terminal shows them; empty styles change nothing."""
    codes = [str(STYLES[style]) for style in styles if style]
    return f"\x1b[{';'.join(codes)}m{text}\x1b[0m" if codes and text and _shows_styles() else text


def _shows_styles() -> bool:
    """Whether to style: on a terminal that can, or with ``FORCE_COLOR``; never with ``NO_COLOR``."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return sys.stdout.isatty() and os.environ.get("TERM", "") not in {"dumb", "unknown"}


def make_console() -> "Console":
    """Return a console that respects ``NO_COLOR``, pipes and ``COLUMNS``.

    In a pipe, lines are as long as they need to be, so that other programs can read them.
    """
    from rich.console import Console
    from rich.segment import Segment

    class Careful(Console):
        """A console that shows no control characters of names, and leaves with 0 where a pipe breaks."""

        def render(self, *given: Any, **named: Any) -> "Iterator[Segment]":
            for segment in super().render(*given, **named):
                control = segment.control
                yield segment if control else Segment(printable(segment.text), segment.style)

        def on_broken_pipe(self) -> None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(0)

    return Careful(highlight=False, width=_width())


def _width() -> int | None:
    """Return the columns to draw in; ``None``: those of the terminal."""
    stated = os.environ.get("COLUMNS", "").strip()
    columns = whole_number(stated)
    if columns and columns <= PIPE_COLUMNS:
        return columns
    return None if sys.stdout.isatty() and not stated else PIPE_COLUMNS
