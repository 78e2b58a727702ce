"""Drawing lists: as wide as the terminal, the least important columns left out where it is narrow.

Lists can have ten thousand rows, so lines are put together here and written at once.
"""

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from hwledger.library.paths import shown
from hwledger.screens.layout import GAP, Row, cells, layout

if TYPE_CHECKING:
    from hwledger.screens.column import Column

LONGEST_RULE: Final = 120


def write_table(columns: "Sequence[Column]", rows: Sequence[Row]) -> None:
    """Write rows under their heads; nothing where there are none. What is left out is said below them."""
    if not rows:
        return
    clean = [[shown(cell) for cell in row] for row in rows]
    kept, widths = layout(columns, clean, _width())
    lines = [_line([columns[i].name for i in kept], widths, columns, kept)]
    lines.append("─" * min(sum(widths) + GAP * (len(widths) - 1), LONGEST_RULE))
    for row in clean:
        lines += _lines([row[i] for i in kept], widths, columns, kept)
    left_out = [
        column.name
        for i, column in enumerate(columns)
        if column.name and i not in kept and any(row[i] for row in clean)
    ]
    note = [f"not shown at this width: {', '.join(left_out)}"] if left_out else []
    write_lines(["", *lines, "", *note])


def write_lines(lines: Iterable[str]) -> None:
    """Write lines at once; what the output's encoding lacks is written as its code."""
    text = "".join(f"{line}\n" for line in lines)
    encoding = sys.stdout.encoding or "utf-8"
    if encoding.lower().replace("-", "") not in {"utf8", "utf8sig"}:
        text = text.replace("─", "-").replace("×", "x")
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))


def wrapped(text: str, width: int) -> list[str]:
    """Return a text in lines of at most ``width`` cells, broken at spaces; longer words at any place."""
    if cells(text) <= width:
        return [text]
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if cells(joined) <= width:
            line = joined
            continue
        if line:
            lines.append(line)
        *whole, line = _chopped(word, width)
        lines += whole
    return [*lines, line]


def _chopped(word: str, width: int) -> list[str]:
    """Return a long word in pieces, cut behind a slash where there is one in the second half of a line."""
    pieces, piece = [], ""
    for character in word:
        if piece and cells(piece + character) > width:
            cut = piece.rfind("/") + 1
            cut = cut if 2 * cut > len(piece) else len(piece)
            pieces.append(piece[:cut])
            piece = piece[cut:]
        piece += character
    return [*pieces, piece]


def _lines(row: Row, widths: Sequence[int], columns: "Sequence[Column]", kept: Sequence[int]) -> list[str]:
    folded = [wrapped(cell, width) for cell, width in zip(row, widths, strict=True)]
    height = max(map(len, folded))
    return [
        _line([part[n] if n < len(part) else "" for part in folded], widths, columns, kept)
        for n in range(height)
    ]


def _line(parts: Row, widths: Sequence[int], columns: "Sequence[Column]", kept: Sequence[int]) -> str:
    placed = []
    for part, width, i in zip(parts, widths, kept, strict=True):
        space = " " * (width - cells(part))
        placed.append(space + part if columns[i].right else part + space)
    return (" " * GAP).join(placed).rstrip()


def _width() -> int | None:
    """Return the cells of a line: ``COLUMNS`` or the terminal's; ``None`` in a pipe."""
    import os
    import shutil

    stated = os.environ.get("COLUMNS", "")
    if not stated.isdecimal() and not sys.stdout.isatty():
        return None
    return shutil.get_terminal_size((80, 24)).columns
