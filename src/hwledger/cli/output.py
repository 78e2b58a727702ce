"""Writing to the terminal: JSON as it is, everything else through rich."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwledger.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console


def write_json(document: dict[str, Any]) -> None:
    """Write a document as JSON: indented on a terminal, one line in a pipe."""
    indent = 2 if sys.stdout.isatty() else None
    sys.stdout.write(json.dumps(document, indent=indent, ensure_ascii=False, default=str) + "\n")


def make_console() -> "Console":
    """Return a console that respects ``NO_COLOR``, pipes and ``COLUMNS``.

    In a pipe, lines are as long as they need to be, so that other programs can read them.
    """
    from rich.console import Console

    class Piped(Console):
        """A console that leaves with 0 where the reader (head) has what it wanted; rich's leaves with 1."""

        def on_broken_pipe(self) -> None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(0)

    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 120
    return Piped(highlight=False, width=width)


def write_file(path: Path, text: str) -> None:
    """Write a text file whole or not at all.

    Raises:
        InputError: it cannot be written.
    """
    draft = path.with_name(path.name + ".part")
    try:
        draft.write_text(text, "utf-8")
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None
