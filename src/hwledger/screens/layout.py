"""Which columns of a list are shown, and how wide, in as many cells as there are."""

from collections.abc import Sequence
from typing import Final

from hwledger.screens.column import Column

GAP: Final = 2
NARROWEST: Final = 28
"""What a column that wraps is given before another one is left out, or a third of a narrow terminal."""

Row = Sequence[str]


def layout(columns: Sequence[Column], rows: Sequence[Row], width: int | None) -> tuple[list[int], list[int]]:
    """Return which columns are shown, and how wide each of them is in cells.

    Columns that do not wrap are as wide as their longest text; where that leaves too little for the others,
    the column of the highest rank goes, and so on. ``width`` is ``None`` where lines may be of any length.
    """
    full = [
        max(cells(column.name), max((cells(row[i]) for row in rows), default=0))
        for i, column in enumerate(columns)
    ]
    kept = [i for i in range(len(columns)) if any(row[i] for row in rows) or not columns[i].rank]
    if width is None:
        return kept, [full[i] for i in kept]
    narrow = min(NARROWEST, width // 3)
    least = [min(size, narrow) if column.wraps else size for size, column in zip(full, columns, strict=True)]
    while sum(least[i] + GAP for i in kept) - GAP > width:
        highest = max(kept, key=lambda i: columns[i].rank)
        if not columns[highest].rank:
            break
        kept.remove(highest)
    wrapping = [i for i in kept if columns[i].wraps]
    left = width - sum(full[i] for i in kept if i not in wrapping) - GAP * (len(kept) - 1)
    shared = _shared({i: full[i] for i in wrapping}, max(left, 8 * len(wrapping)))
    return kept, [shared.get(i, full[i]) for i in kept]


def _shared(wanted: dict[int, int], space: int) -> dict[int, int]:
    """Return the space of each column: what it wants where that is less than its share, else its share."""
    given: dict[int, int] = {}
    for number, i in enumerate(sorted(wanted, key=lambda i: wanted[i])):
        given[i] = min(wanted[i], (space - sum(given.values())) // (len(wanted) - number))
    return given


def cells(text: str) -> int:
    """Return how many cells of a terminal a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # noqa: PLC0415 - start-up time

    return cell_len(text)
