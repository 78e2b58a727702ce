"""The terminal UI, driven by keys."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable, Static, TabbedContent

from hwledger.screens.column import Column
from hwledger.telemetry.collector import PATIENCE_S, Collector
from hwledger.telemetry.snapshot import ProcessSnapshot, Sample
from hwledger.tui.top import Rows, TopApp, _style
from support.samplers import Clock, FakeSampler, system_at

pytestmark = [pytest.mark.requirement("FR-TEL-TOP"), pytest.mark.enable_socket]
Steps = Callable[[TopApp, Pilot[None]], Awaitable[None]]
KEYS = tuple(f"0000:0{number}:00.0" for number in range(1, 4))


def drive(steps: Steps, folder: Path, size: tuple[int, int] = (80, 24), *samplers: FakeSampler) -> None:
    """Run the screen in a terminal of a size, with three cards if no samplers are given."""
    clock = Clock()
    sources = samplers or (FakeSampler(clock=clock, keys=KEYS),)

    async def run() -> None:
        with Collector(sources, system=system_at(clock), interval_s=0.02) as collector:
            collector.wait(1.0)
            app = TopApp(collector, 0.05, folder)
            async with app.run_test(size=size) as pilot:
                await pilot.pause(0.2)
                await steps(app, pilot)

    asyncio.run(run())


def cells(app: TopApp, name: str) -> list[str]:
    """Return the rows of a table as texts."""
    table = app.query_one(f"#{name}", Rows)
    return [" ".join(map(str, table.get_row_at(number))) for number in range(table.row_count)]


def text(app: TopApp, name: str) -> str:
    """Return what a line says."""
    return str(app.query_one(f"#{name}", Static).render())


def test_it_shows_devices_history_and_processes_in_80_by_24(tmp_path: Path) -> None:
    """In a small terminal every table fits its width, and a device's memory has a history."""

    async def steps(app: TopApp, pilot: Pilot[None]) -> None:
        await pilot.pause(0.2)
        assert len(cells(app, "devices")) == 3
        assert all("2.0" in row for row in cells(app, "devices"))
        assert len(cells(app, "processes-rows")) == 3
        assert "python" in cells(app, "processes-rows")[0]
        assert "▂" in text(app, "used")
        assert "memory 2.0 of 8.0 GiB" in text(app, "used")
        for table in app.query(DataTable):
            assert table.virtual_size.width <= 80

    drive(steps, tmp_path)


def test_a_wider_terminal_shows_more_columns(tmp_path: Path) -> None:
    """Columns of lesser importance come back when the terminal grows, and go when it shrinks."""

    async def steps(app: TopApp, pilot: Pilot[None]) -> None:
        table = app.query_one("#devices", Rows)
        narrow = len(table.columns)
        await pilot.resize_terminal(180, 50)
        await pilot.pause(0.2)
        assert len(table.columns) > narrow
        await pilot.resize_terminal(40, 12)
        await pilot.pause(0.2)
        assert len(table.columns) <= narrow
        assert table.virtual_size.width <= 60

    drive(steps, tmp_path)


def test_keys_sort_filter_pause_and_choose(tmp_path: Path) -> None:
    """Keys: s sorts, / narrows every table, p holds the screen, 1 to 4 choose what stands below."""

    async def steps(app: TopApp, pilot: Pilot[None]) -> None:
        await pilot.press("s")
        assert "sorted: most memory used" in text(app, "host")
        await pilot.press("slash", *"02:00")
        await pilot.pause(0.2)
        assert len(cells(app, "devices")) == 1
        await pilot.press("escape")
        await pilot.pause(0.2)
        assert len(cells(app, "devices")) == 3
        await pilot.press("p")
        assert "PAUSED" in text(app, "host")
        await pilot.press("p", "3")
        assert app.query_one("#tabs", TabbedContent).active == "detail"
        assert "memory total" in text(app, "detail-text")

    drive(steps, tmp_path)


def test_what_is_shown_can_be_written_down(tmp_path: Path) -> None:
    """Key e writes the snapshot by the schema of the probe, and says where."""

    async def steps(app: TopApp, pilot: Pilot[None]) -> None:
        await pilot.press("e")
        await pilot.pause(0.2)
        del app

    drive(steps, tmp_path)
    (written,) = tmp_path.glob("hwledger-probe-*.json")
    schema = json.loads(files("hwledger.telemetry").joinpath("schemas", "probe-1.json").read_text("utf-8"))
    document = json.loads(written.read_text("utf-8"))
    jsonschema.validate(document, schema)
    assert len(document["devices"]) == 3


def test_a_hung_source_leaves_the_screen_alive(tmp_path: Path) -> None:
    """Keys work while a driver hangs; its source is said not to answer, and its last values are marked."""
    clock = Clock()
    hung, fine = FakeSampler("hung", clock, keys=KEYS[:1]), FakeSampler("fine", clock, keys=KEYS[1:])

    async def steps(app: TopApp, pilot: Pilot[None]) -> None:
        hung.hang.clear()
        clock.now += PATIENCE_S
        await pilot.pause(0.4)
        clock.now += PATIENCE_S
        await pilot.pause(0.4)
        rows = cells(app, "devices")
        assert sum("2.0?" in row for row in rows) >= 1
        await pilot.press("4")
        assert any("no answer for" in row for row in cells(app, "sources-rows"))
        hung.hang.set()

    async def run() -> None:
        with Collector((hung, fine), system=system_at(clock), interval_s=0.02) as collector:
            collector.wait(1.0)
            app = TopApp(collector, 0.05, tmp_path)
            async with app.run_test(size=(100, 30)) as pilot:
                await pilot.pause(0.2)
                await steps(app, pilot)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("text", "name", "style"),
    [("2.0?", "used", "dim italic"), ("power brake", "throttled by", "yellow"), ("lost", "busy", "red"),
     ("██████████", "", "red"), ("████████  ", "", "yellow"), ("██        ", "", "green"),
     ("2.0", "used", "")],
)  # fmt: skip
def test_cells_stand_out(text: str, name: str, style: str) -> None:
    """What is stale, lost, slowed or full is seen at a glance."""
    assert _style(text, Column(name)) == style


def test_without_any_device_it_says_where_to_look(tmp_path: Path) -> None:
    """No accelerator is no blank screen."""

    async def steps(app: TopApp, pilot: Pilot[None]) -> None:
        await pilot.press("3")
        assert "No accelerator was found" in text(app, "detail-text")

    drive(steps, tmp_path, (80, 24), FakeSampler(works=False))


class Strange(FakeSampler):
    """Its device and process are called what only a terminal or a markup reader would act on."""

    def sample(self, *, processes: bool) -> Sample:
        """Return what the fake returns, under such names."""
        (device,) = super().sample(processes=processes).devices
        held = (ProcessSnapshot(41, "[/usr/bin/x] [red]模型\x1b[2J", device["memory_used"]),)
        return Sample(devices=(replace(device, name="卡[/] \x9b1m", processes=held),))


def test_names_of_strangers_are_shown_to_the_letter(tmp_path: Path) -> None:
    """Brackets in names are no markup and end nothing; controls are shown as escapes; wide letters fit."""

    async def steps(app: TopApp, pilot: Pilot[None]) -> None:
        await pilot.pause(0.2)
        (process,) = cells(app, "processes-rows")
        assert "[/usr/bin/x] [red]模型\\x1b[2J" in process
        assert "卡[/] \\xc2\\x9b1m" in cells(app, "devices")[0]
        await pilot.press("3")
        assert "\x9b" not in text(app, "detail-text")
        await pilot.resize_terminal(50, 20)
        await pilot.pause(0.2)
        assert cells(app, "processes-rows")

    drive(steps, tmp_path, (160, 40), Strange())


def test_an_export_that_fails_is_said(tmp_path: Path) -> None:
    """A folder that cannot be written to ends nothing, whatever its name holds."""
    folder = tmp_path / "[/gone]"

    async def steps(app: TopApp, pilot: Pilot[None]) -> None:
        await pilot.press("e")
        await pilot.pause(0.2)
        assert any("[/gone]" in each.message for each in app._notifications)

    drive(steps, folder)
