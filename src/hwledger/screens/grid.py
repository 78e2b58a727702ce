"""The grid screen: cells as text with a shade, and the same as CSV and SVG."""

import csv
import io
from dataclasses import dataclass
from html import escape

from hwledger.planner.solve.grid import Grid, grid_notes, share_of
from hwledger.planner.solve.question import Measured
from hwledger.screens.speed import digits

LEVELS = (0.6, 0.85, 1.0)
"""Shares of a device's memory between which a cell changes its shade; beyond the last it does not fit."""
COLOURS = ("#1a7f5a", "#5a8f29", "#b07d12", "#b3382c")
STYLES = ("green", "green4", "yellow", "red")
LEGEND = "! nearly full   x does not fit, or misses a limit   - the engine refuses"
SYMBOLS = ("", "", "!", "x")
CELL_WIDTH, CELL_HEIGHT, LABEL_WIDTH, TOP = 92, 34, 130, 60


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: its lines of text, and its level, 0 the emptiest; ``None``: nothing can be said."""

    text: str
    speed: str
    level: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GridScreen:
    """A grid in words.

    Attributes:
        title: of what.
        legend: what text and shades mean.
        rows, columns: labels of the axes, their names first.
        cells: one row a row.
    """

    title: str
    legend: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[tuple[Cell, ...], ...]


def grid_screen(grid: Grid, subject: str) -> GridScreen:
    """Return the screen of a grid."""
    device = any(share_of(one) is not None for row in grid.cells for one in row)
    what = "share of the fullest device" if device else "GiB in all"
    return GridScreen(
        title=f"{subject}: {what}" + (", and tokens/s of one user" if device else ""),
        legend="\n".join((*((LEGEND,) if device else ()), *grid_notes(grid))),
        rows=(grid.rows.name, *grid.rows.labels), columns=(grid.columns.name, *grid.columns.labels),
        cells=tuple(tuple(_cell(one) for one in row) for row in grid.cells),
    )  # fmt: skip


def _cell(measured: Measured) -> Cell:
    plan, share = measured.plan, share_of(measured)
    if plan is None:
        return Cell("-", "", None)
    if share is None:
        return Cell(f"{plan.total_bytes / 2**30:,.1f}", "", None)
    level = sum(share > bound for bound in LEVELS)
    level = len(LEVELS) if measured.misses else level
    rate = measured.users_per_second
    known = "" if rate is None or share > 1 else digits(rate)
    return Cell(f"{share:.0%}{SYMBOLS[level]}", known, level)


def grid_csv(grid: Grid) -> str:
    """Return a grid as CSV, one cell a line."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((grid.rows.name, grid.columns.name, "total_bytes", "share_of_fullest", "verdict",
                     "tokens_per_second", "refusal"))  # fmt: skip
    for row, cells in zip(grid.rows.labels, grid.cells, strict=True):
        for column, one in zip(grid.columns.labels, cells, strict=True):
            writer.writerow((row, column, *_values(one)))
    return text.getvalue()


def _values(measured: Measured) -> tuple[str, ...]:
    plan, share, rate = measured.plan, share_of(measured), measured.users_per_second
    return (
        str(plan.total_bytes) if plan else "",
        f"{share:.6f}" if share is not None else "",
        plan.fit.verdict.value if plan and plan.fit else "",
        f"{rate:.6g}" if rate is not None else "",
        measured.refusal,
    )


def grid_svg(screen: GridScreen) -> str:
    """Return a grid as one SVG picture that says what it shows, readable without its colours."""
    columns, rows = screen.columns[1:], screen.rows[1:]
    width = max(LABEL_WIDTH + CELL_WIDTH * len(columns) + 10, 8 * len(screen.title))
    height = TOP + CELL_HEIGHT * len(rows) + 30
    style = f'width="{width}" height="{height}" role="img" font-family="sans-serif" font-size="13"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {style}><title>{escape(screen.title)}</title>',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="6" y="20" font-weight="bold">{escape(screen.title)}</text>',
        f'<text x="6" y="{TOP - 10}">{escape(screen.rows[0])} / {escape(screen.columns[0])}</text>',
    ]
    for place, label in enumerate(columns):
        x = LABEL_WIDTH + CELL_WIDTH * place + CELL_WIDTH // 2
        parts.append(f'<text x="{x}" y="{TOP - 10}" text-anchor="middle">{escape(label)}</text>')
    for place, (label, cells) in enumerate(zip(rows, screen.cells, strict=True)):
        parts += _svg_row(label, cells, TOP + CELL_HEIGHT * place)
    parts.append(f'<text x="6" y="{height - 10}" fill="#444">{escape(screen.legend)}</text></svg>')
    return "\n".join(parts) + "\n"


def _svg_row(label: str, cells: tuple[Cell, ...], top: int) -> list[str]:
    middle = top + CELL_HEIGHT // 2 + 5
    parts = [f'<text x="6" y="{middle}">{escape(label)}</text>']
    for place, cell in enumerate(cells):
        x = LABEL_WIDTH + CELL_WIDTH * place
        colour = COLOURS[cell.level] if cell.level is not None else "#8a8a8a"
        said = f"{cell.text}  {cell.speed}".strip()
        parts.append(
            f'<rect x="{x}" y="{top}" width="{CELL_WIDTH - 2}" height="{CELL_HEIGHT - 2}" fill="{colour}"/>'
            f'<text x="{x + CELL_WIDTH // 2 - 1}" y="{middle}" fill="white" '
            f'text-anchor="middle">{escape(said)}</text>'
        )
    return parts
