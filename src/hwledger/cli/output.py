"""Writing to the terminal: JSON as it is, everything else through rich."""

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from hwledger.units import whole_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import Console

PIPE_COLUMNS = 1 << 14
TERMINAL_COLUMNS = 80
_WINDOWS_TERMINALS = ("WT_SESSION", "TERM_PROGRAM", "ConEmuANSI", "ANSICON", "TERM")
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def write_json(document: dict[str, Any]) -> None:
    """Write a document as JSON: indented on a terminal, one line in a pipe."""
    indent = 2 if sys.stdout.isatty() else None
    plain = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    text = json.dumps(document, indent=indent, ensure_ascii=plain, default=str)
    if indent:  # what a terminal would act on stands in texts alone, and JSON has another way to write it
        text = "".join(f"\\u{ord(char):04x}" if _acts(char) and char != "\n" else char for char in text)
    sys.stdout.write(text.encode("utf-8", "backslashreplace").decode("utf-8") + "\n")


def json_line(document: dict[str, Any]) -> str:
    """Return what ``write_json`` writes of a document into a pipe that takes UTF-8."""
    text = json.dumps(document, ensure_ascii=False, default=str)
    return text.encode("utf-8", "backslashreplace").decode("utf-8") + "\n"


def printable(text: str) -> str:
    """Return a text without what a terminal would act on: names come from files and servers of strangers.

    Control characters and marks that reverse the reading order are left out; lone surrogates (names that are
    no UTF-8) are shown as escapes.
    """
    kept = "".join(char for char in text if char in "\n\t" or not _acts(char))
    return kept.encode("utf-8", "backslashreplace").decode("utf-8")


def _acts(char: str) -> bool:
    return char < " " or "\x7f" <= char <= "\x9f" or char in _DIRECTIONS


def line_width() -> int | None:
    """Return the cells of a line: ``COLUMNS``, else the terminal's; ``None`` in a pipe, for any length.

    What ``COLUMNS`` says counts where it is a width, and else as if it said nothing.
    """
    columns = whole_number(os.environ.get("COLUMNS", "").strip())
    if columns and columns <= PIPE_COLUMNS:
        return columns
    if not sys.stdout.isatty():
        return None
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or TERMINAL_COLUMNS
    except (OSError, ValueError):  # a terminal that does not tell, or one without a number
        return TERMINAL_COLUMNS


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
    return sys.stdout.isatty() and acts_on_escapes(sys.platform, os.environ)


def acts_on_escapes(platform: str, environ: "Mapping[str, str]") -> bool:
    """Whether a terminal obeys escapes: Windows' old console does not, and others name themselves."""
    if platform == "win32" and not any(environ.get(name) for name in _WINDOWS_TERMINALS):
        return False
    return environ.get("TERM", "") not in {"dumb", "unknown"}


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

    return Careful(highlight=False, width=line_width() or PIPE_COLUMNS)
