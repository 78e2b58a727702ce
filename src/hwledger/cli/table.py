"""Drawing lists: as wide as the terminal, the least important columns left out where it is narrow.

Lists can have ten thousand rows, so lines are put together here and written at once.
"""

import sys
from collections.abc import Container, Iterable, Sequence
from typing import TYPE_CHECKING, Final

from hwledger.cli.output import line_width, styled
from hwledger.library.paths import shown
from hwledger.screens.layout import GAP, Row, cells, layout

if TYPE_CHECKING:
    from hwledger.screens.column import Column

LONGEST_RULE: Final = 120


def write_table(columns: "Sequence[Column]", rows: Sequence[Row], bold: Container[int] = ()) -> None:
    """Write rows under their heads; nothing where there are none. What is left out is said below them.

    Args:
        columns: heads, and which of them go first where the terminal is narrow.
        rows: texts.
        bold: numbers of the rows that stand out.
    """
    if not rows:
        return
    clean = [[shown(cell) for cell in row] for row in rows]
    width = line_width()
    kept, widths = layout(columns, clean, width)
    lines = [_line([columns[i].name for i in kept], widths, columns, kept)]
    lines.append("─" * min(sum(widths) + GAP * (len(widths) - 1), LONGEST_RULE))
    for number, row in enumerate(clean):
        drawn = _lines([row[i] for i in kept], widths, columns, kept)
        lines += [styled(line, "bold") for line in drawn] if number in bold else drawn
    write_lines(["", *lines, "", *_left_out(columns, clean, kept, width)])


def _left_out(
    columns: "Sequence[Column]", rows: Sequence[Row], kept: Container[int], width: int | None
) -> list[str]:
    """Return the note on columns that hold something and are not shown; bars have no name."""
    names = [column.name for i, column in enumerate(columns) if i not in kept and any(row[i] for row in rows)]
    named = ", ".join(filter(None, names))
    return wrapped(f"not shown at this width: {named}", width) if named and width is not None else []


def write_lines(lines: Iterable[str]) -> None:
    """Write lines at once; what the output's encoding lacks is written as its code."""
    text = "".join(f"{line}\n" for line in lines)
    encoding = sys.stdout.encoding or "utf-8"
    if encoding.lower().replace("-", "") not in {"utf8", "utf8sig"}:
        text = text.replace("─", "-").replace("×", "x").replace("█", "#")
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
