"""``hwledger top``: devices with their history, processes, engines and sources, live."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from typing import ClassVar, Final

from rich.cells import set_cell_size
from rich.text import Text
from textual import on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import DataTable, Footer, Input, Static, TabbedContent, TabPane

from hwledger.errors import HwledgerError
from hwledger.library.files import write_whole
from hwledger.library.paths import shown
from hwledger.screens.column import Column
from hwledger.screens.layout import cells, layout
from hwledger.screens.telemetry import (
    BAR,
    CHECK_COLUMNS,
    DEVICE_COLUMNS,
    EIGHTHS,
    ENGINE_COLUMNS,
    PROCESS_COLUMNS,
    check_rows,
    device_cells,
    host_line,
    idle_words,
    missing,
    probe_screen,
)
from hwledger.screens.top import ORDERS, History, detail_lines, matches, ordered, spark
from hwledger.telemetry.collector import Collector
from hwledger.telemetry.document import snapshot_document
from hwledger.telemetry.snapshot import DeviceSnapshot, Snapshot

MARGIN: Final = 4
CELL_PADDING: Final = 2
FULL: Final = 0.9
FILLING: Final = 0.7
NOTHING_FOUND: Final = "No accelerator was found; the tab Sources says what was tried"
STYLE: Final = """
#host { height: 1; background: $panel; padding: 0 1; }
#devices { height: auto; max-height: 50%; }
#history { height: auto; padding: 0 1; }
#history Static { width: 1fr; height: 2; color: $accent; }
#filter { display: none; height: 3; }
#filter.shown { display: block; }
TabbedContent { height: 1fr; }
TabPane { padding: 0; }
"""


class Rows(DataTable[Text]):
    """A table as wide as the terminal: columns of a high rank go where it is narrow.

    Names come from strangers: a text is shown to the letter, brackets are no markup, controls are escapes.
    """

    def __init__(self, columns: Sequence[Column], name: str) -> None:
        super().__init__(id=name, cursor_type="row", zebra_stripes=True)
        self._given = columns
        self._rows: list[tuple[str, ...]] = []
        self._keys: list[str] = []

    def show(self, rows: Sequence[tuple[str, ...]], keys: Sequence[str] | None = None) -> None:
        """Show rows instead of those before; the cursor stays on the row of the same key."""
        self._rows = [tuple(map(shown, row)) for row in rows]
        self._keys = list(keys or map(str, range(len(rows))))
        self._draw()

    @property
    def chosen(self) -> str | None:
        """Key of the row under the cursor."""
        return self._keys[self.cursor_row] if 0 <= self.cursor_row < len(self._keys) else None

    def on_resize(self) -> None:
        """Choose the columns anew."""
        self._draw()

    def _draw(self) -> None:
        before, top = self.chosen, self.scroll_y
        space = max(20, self.app.size.width - MARGIN)
        kept, widths = layout(self._given, self._rows, space - CELL_PADDING * len(self._given))
        self.clear(columns=True)
        for i, width in zip(kept, widths, strict=True):
            self.add_column(self._given[i].name, width=width)
        for row, key in zip(self._rows, self._keys, strict=True):
            self.add_row(
                *(_aligned(row[i], w, self._given[i]) for i, w in zip(kept, widths, strict=True)), key=key
            )
        if before in self._keys:
            self.move_cursor(row=self._keys.index(before), scroll=False)
        self.scroll_to(y=top, animate=False)


def _aligned(text: str, width: int, column: Column) -> Text:
    cut = text if cells(text) <= width else f"{set_cell_size(text, width - 1).rstrip()}…"
    return Text(" " * (width - cells(cut)) + cut if column.right else cut, _style(text, column))


def _style(text: str, column: Column) -> str:
    """Return how a cell stands out: what is stale dim, what slows or fills a device in colour."""
    if text.endswith("?"):
        return "dim italic"
    if column.name == "throttled by":
        return "yellow"
    if text == "lost" or (column.name == "works" and text == "no"):
        return "red"
    if set(text) <= set(EIGHTHS) and text.strip():  # the bar of memory
        full = len(text.rstrip()) / BAR
        return "red" if full > FULL else "yellow" if full > FILLING else "green"
    return ""


class TopApp(App[None]):
    """The live screen.

    Args:
        collector: started; its snapshots never wait for a driver.
        interval_s: seconds between two drawings.
        folder: where exports are written.
    """

    TITLE = "hwledger top"
    CSS = STYLE
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "Quit"),
        Binding("p", "pause", "Pause"),
        Binding("s", "sort", "Sort"),
        Binding("slash", "filter", "Filter"),
        Binding("e", "export", "Export"),
        Binding("1", "tab('processes')", "Processes", show=False),
        Binding("2", "tab('engines')", "Engines", show=False),
        Binding("3", "tab('detail')", "Device", show=False),
        Binding("4", "tab('sources')", "Sources", show=False),
        Binding("escape", "unfilter", "No filter", show=False),
    ]

    def __init__(self, collector: Collector, interval_s: float, folder: Path) -> None:
        super().__init__()
        self._collector = collector
        self._interval_s = interval_s
        self._folder = folder
        self._history = History()
        self._orders = cycle([*ORDERS][1:] + [*ORDERS][:1])
        self._order = next(iter(ORDERS))
        self._words = ""
        self._paused = False
        self._snapshot: Snapshot | None = None
        self._host = Static(id="host", markup=False)
        self._devices = Rows(DEVICE_COLUMNS, "devices")
        self._lines = {name: Static(id=name, markup=False) for name in ("busy", "used")}
        self._filter = Input(placeholder="words that names hold; Escape ends it", id="filter")
        self._tables = {
            "processes": Rows(PROCESS_COLUMNS, "processes-rows"),
            "engines": Rows(ENGINE_COLUMNS, "engines-rows"),
            "sources": Rows(CHECK_COLUMNS, "sources-rows"),
        }
        self._detail = Static(id="detail-text", markup=False)

    def compose(self) -> ComposeResult:
        """Lay out host, devices, history, tabs and keys."""
        yield self._host
        yield self._devices
        yield Horizontal(*self._lines.values(), id="history")
        yield self._filter
        with TabbedContent(id="tabs"):
            yield TabPane("1 Processes", self._tables["processes"], id="processes")
            yield TabPane("2 Engines", self._tables["engines"], id="engines")
            yield TabPane("3 Device", VerticalScroll(self._detail), id="detail")
            yield TabPane("4 Sources", self._tables["sources"], id="sources")
        yield Footer()

    def on_mount(self) -> None:
        """Draw now and then at every interval."""
        self._devices.focus()
        self.take()
        self.set_interval(self._interval_s, self.take)

    def take(self) -> None:
        """Take the newest snapshot and draw it, unless the screen is paused."""
        if not self._paused:
            self._snapshot = self._collector.snapshot()
            self._history.add(self._snapshot)
            self.draw()

    def draw(self) -> None:
        """Draw the snapshot that is held."""
        snapshot = self._snapshot
        if snapshot is None or not self._host.is_attached:  # the screen may be taken down already
            return
        said = [host_line(snapshot.host), "PAUSED" if self._paused else "", f"sorted: {self._order}"]
        said += [f"filter: {self._words}"] if self._words else []
        self._host.update(shown(" │ ".join(part for part in said if part)))
        devices = ordered(snapshot.devices, self._order, self._words)
        self._devices.show([device_cells(device) for device in devices], [device.key for device in devices])
        self._draw_device(devices)
        self._draw_tabs(snapshot)

    def _draw_device(self, devices: Sequence[DeviceSnapshot]) -> None:
        chosen = self._devices.chosen
        device = next((each for each in devices if each.key == chosen), None)
        for drawn in self._lines.values():
            drawn.display = device is not None
        if device is None:
            self._detail.update(NOTHING_FOUND if not self._words else "No device matches the filter")
            return
        for name, trace in zip(("busy", "used"), self._history.traces(device), strict=True):
            line = spark(trace.values, max(10, self.size.width // 2 - MARGIN))
            self._lines[name].update(shown(trace.label) + f"\n{line}")
        self._detail.update("\n".join(map(shown, [device.name or device.key, *detail_lines(device)])))

    def _draw_tabs(self, snapshot: Snapshot) -> None:
        screen = probe_screen(snapshot)
        for name, rows in (("processes", screen.processes), ("engines", screen.engines)):
            found = [row for row in rows if matches(" ".join(row), self._words)]
            self._tables[name].show(found)
        lines = [*missing(snapshot), idle_words(snapshot.checks)]
        unknown = [("", "", line, "") for line in lines if line]
        self._tables["sources"].show([*check_rows(snapshot.checks), *unknown])

    def action_pause(self) -> None:
        """Hold the screen as it is, or go on."""
        self._paused = not self._paused
        self.draw()
        self.take()

    def action_sort(self) -> None:
        """Go to the next order."""
        self._order = next(self._orders)
        self.draw()

    def action_filter(self) -> None:
        """Ask for words."""
        self._filter.add_class("shown")
        self._filter.focus()

    def action_unfilter(self) -> None:
        """Show everything again."""
        self._filter.value = ""
        self._filter.remove_class("shown")
        self._devices.focus()

    @on(Input.Changed, "#filter")
    def _narrow(self, event: Input.Changed) -> None:
        self._words = event.value
        self.draw()

    @on(Input.Submitted, "#filter")
    def _narrowed(self) -> None:
        self._filter.remove_class("shown")
        self._devices.focus()

    @on(DataTable.RowHighlighted, "#devices")
    def _chosen(self) -> None:
        if self._snapshot is not None:
            self._draw_device(self._snapshot.devices)

    def action_tab(self, name: str) -> None:
        """Go to a tab."""
        self.query_one("#tabs", TabbedContent).active = name

    def action_export(self) -> None:
        """Write the snapshot that is shown as JSON, by the schema of ``hwledger probe --json``."""
        if self._snapshot is None:
            return
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        path = self._folder / f"hwledger-probe-{stamp}.json"
        try:
            text = json.dumps(snapshot_document(self._snapshot), indent=1, ensure_ascii=False)
            write_whole(path, f"{text}\n".encode())
        except HwledgerError as error:
            self.notify(str(error), severity="error", markup=False)
            return
        self.notify(f"written: {path}", markup=False)
