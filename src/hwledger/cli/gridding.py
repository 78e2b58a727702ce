"""``hwledger plan --grid``: a heatmap in the terminal, and files."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from hwledger.planner.solve.question import Question
    from hwledger.screens.grid import GridScreen

WRITTEN = (".csv", ".json", ".svg")


def draw_grid(question: "Question", text: str, files: tuple[str, ...], *, as_json: bool) -> None:
    """Plan a grid, write its files, and print it.

    Raises:
        UsageError: an axis that does not exist, or a file of another kind.
        InputError: a file cannot be written.
    """
    from hwledger.cli.output import make_console, write_json
    from hwledger.cli.solving import progress
    from hwledger.errors import UsageError
    from hwledger.library.files import write_whole
    from hwledger.planner.solve.documents import grid_document
    from hwledger.planner.solve.grid import make_grid
    from hwledger.screens.grid import grid_csv, grid_screen, grid_svg

    paths = [Path(file) for file in files]
    wrong = next((path for path in paths if path.suffix.lower() not in WRITTEN), None)
    if wrong is not None:
        raise UsageError(f"{wrong}: a grid is written as .csv, .json or .svg; name the file so")
    with progress("planning cells") as told:
        grid = make_grid(question, text, told)
    request = question.request
    document = grid_document(
        grid, model=request.spec.id, engine=question.profile.name, version=request.version
    )
    screen = grid_screen(grid, f"{request.spec.id} on {question.profile.name} {request.version}")
    for path in paths:
        write_whole(path, _content(path, document, grid_csv(grid), grid_svg(screen)).encode())
    if as_json:
        write_json(document)
        return
    console = make_console()
    draw(console, screen)
    for path in paths:
        console.print(f"Written: {path}", markup=False)


def _content(path: Path, document: object, as_csv: str, as_svg: str) -> str:
    import json

    kinds = {".csv": as_csv, ".svg": as_svg}
    return kinds.get(path.suffix.lower()) or json.dumps(document, indent=2) + "\n"


def draw(console: "Console", screen: "GridScreen") -> None:
    """Draw the heatmap; text says what colours say. Columns that do not fit go into further tables."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from hwledger.screens.grid import STYLES

    console.print(Text(screen.title, "bold"))
    label = max(map(len, screen.rows)) + 2
    width = max([8, *(len(one) for one in screen.columns[1:]), *_widths(screen)]) + 2
    each = max(1, (console.width - label) // width)
    for start in range(0, len(screen.columns) - 1, each):
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column(f"{screen.rows[0]} / {screen.columns[0]}" if label > 20 else screen.rows[0])  # noqa: PLR2004 - room for both
        for name in screen.columns[1 + start : 1 + start + each]:
            table.add_column(name, justify="right")
        for name, cells in zip(screen.rows[1:], screen.cells, strict=True):
            drawn = [
                Text(f"{one.text} {one.speed}".strip(), STYLES[one.level] if one.level is not None else "dim")
                for one in cells[start : start + each]
            ]
            table.add_row(name, *drawn)
        console.print(table)
    if screen.legend:
        console.print(Text(screen.legend, "dim"))


def _widths(screen: "GridScreen") -> list[int]:
    return [len(f"{one.text} {one.speed}".strip()) for row in screen.cells for one in row]
