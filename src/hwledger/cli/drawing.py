"""Drawing a plan: lines and tables, styled where somebody looks.

No library draws here: a plan is asked for most often, and rich takes a third of its time to load.
"""

from typing import TYPE_CHECKING, Final

from hwledger.cli.output import line_width, printable, styled
from hwledger.cli.table import wrapped, write_lines, write_table
from hwledger.screens.column import Column

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hwledger.screens.plan import PlanScreen
    from hwledger.screens.speed import SpeedBlock

BAR: Final = 12
ONE_LINE: Final = str.maketrans("\n\t", "  ")
"""Names come from strangers: none begins a line of its own."""
SPEED_COLUMNS: Final = (
    Column("speed"), Column("", right=True), Column("80 % interval", right=True, rank=1),
    Column("basis", rank=2), Column("bound by", rank=3, wraps=True),
)  # fmt: skip
LAYER_COLUMNS: Final = (
    Column("layer", right=True), Column("kind"), Column("mixer", rank=1),
    Column("parameters", right=True, rank=2), Column("active", right=True, rank=5),
    Column("weights MiB", right=True), Column("KV MiB", right=True),
    Column("state MiB", right=True, rank=3), Column("", rank=4),
)  # fmt: skip


def write_plan(screen: "PlanScreen", *, layers: bool) -> None:
    """Write the plan screen."""
    colour = (
        "" if screen.good is None else "red" if not screen.good else "yellow" if screen.tight else "green"
    )
    _say(screen.verdict, "bold", colour)
    _say(screen.engine)
    _say(screen.program)
    _write_components(screen)
    _say(screen.cache)
    _say(screen.capacity)
    if screen.speed:
        _write_speed(screen.speed)
    _write_limits(screen)
    if screen.changes:
        write_lines(["", styled("What would make it fit:", "bold")])
        for change in screen.changes:
            _say(f"  • {change}")
    if layers:
        write_table(LAYER_COLUMNS, list(_layers(screen)))
    _say(f"Not modelled: {screen.not_modelled}" if screen.not_modelled else "", "dim")
    for warning in screen.warnings:
        _say(f"Note: {warning}", "yellow")
    _say(screen.read, "dim")


def write_local_notes(devices: "Iterable[str | None]") -> None:
    """Write what there is to know of this machine's devices, where any of some texts asks for them."""
    from hwledger.app import local_notes

    for note in dict.fromkeys(note for device in devices for note in local_notes(device)):
        _say(f"Note: {note}", "yellow")


def _say(text: str, *styles: str) -> None:
    """Write a paragraph, broken at words where the width is known; nothing for no text."""
    if text:
        width = line_width()
        plain = printable(text.translate(ONE_LINE))
        lines = [plain] if width is None else wrapped(plain, width)
        write_lines([styled(line, *styles) for line in lines])


def _write_components(screen: "PlanScreen") -> None:
    """Write the table of components, in GiB per place; in a narrow terminal the last devices go first.

    The host stays: no other column says what it holds, while devices are much alike.
    """
    places = [
        Column(place, right=True, rank=0 if place == "host" else number)
        for number, place in enumerate(screen.places)
    ]
    rows, total = [], set[int]()
    for row in screen.rows:
        if row.basis is None:
            rows.append(("",) * (len(places) + 2))
            total.add(len(rows))
        sizes = [f"{size / 2**30:,.3f}" if size else "" for size in row.sizes]
        rows.append((row.name, *sizes, row.basis.value if row.basis else ""))
    write_table((Column("GiB"), *places, Column("basis")), rows, bold=total)


def _write_speed(block: "SpeedBlock") -> None:
    if block.rows:
        write_lines([""])
        _say(block.title)
        write_table(SPEED_COLUMNS, [(r.name, r.value, r.interval, r.basis, r.limit) for r in block.rows])
    for note in block.notes:
        _say(note, "yellow")


def _write_limits(screen: "PlanScreen") -> None:
    """Write the limits and whether each is met; nothing where none is set."""
    if not screen.limits:
        return
    from hwledger.screens.holding import HEADS

    columns = [Column(name, wraps=True) for name in HEADS]
    write_table(columns, [(*row.cells[:-1], row.answer) for row in screen.limits])
    for row in screen.limits:
        _say(row.why, "yellow")


def _layers(screen: "PlanScreen") -> "Iterator[tuple[str, ...]]":
    """Yield the layers as rows with a small bar."""
    for row in screen.layers:
        layer = row.layer
        sizes = (layer.weights_bytes, layer.kv_cache_bytes, layer.state_bytes)
        yield (
            str(layer.index), layer.kind, layer.mixer,
            f"{layer.parameters:,}", f"{layer.active_parameters:,}",
            *(f"{size / 2**20:,.2f}" if size else "" for size in sizes),
            "█" * max(1, round(row.share * BAR)),
        )  # fmt: skip
