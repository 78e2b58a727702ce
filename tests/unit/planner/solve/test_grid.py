"""Grids: each cell is a plan made alone, on every axis."""

import csv
import io
from xml.etree import ElementTree as ET

import pytest

from hwledger.device.catalogue import parse_devices
from hwledger.errors import UnknownOptionError, UsageError
from hwledger.library.sources.catalogue import shipped_model
from hwledger.planner.plan import plan
from hwledger.planner.solve.grid import make_grid, share_of
from hwledger.planner.solve.question import Question
from hwledger.planner.throughput import estimate
from hwledger.screens.grid import grid_csv, grid_screen, grid_svg
from support.solving import question


def asked(engine: str = "llama.cpp", device: str = "RTX 4090") -> Question:
    """A question about a model of the catalogue."""
    return question(
        shipped_model("Qwen/Qwen3-30B-A3B"), engine, parse_devices(device) if device else (),
        context=8192, estimator=estimate,
    )  # fmt: skip


@pytest.mark.requirement("FR-SOLVE-GRID")
def test_each_cell_is_the_plan_made_alone() -> None:
    """Bytes of a cell equal those of a plan with its row's and its column's value."""
    start = asked()
    grid = make_grid(start, "quant=Q4_K_M:Q8_0,context=4k:32k")
    for weights, row in zip(grid.rows.values, grid.cells, strict=True):
        for context, cell in zip(grid.columns.values, row, strict=True):
            alone = plan(
                start.request.spec, engine="llama.cpp", devices=start.request.devices,
                weights=str(weights), context=int(str(context)),
            )  # fmt: skip
            assert cell.plan
            assert cell.plan.total_bytes == alone.total_bytes


@pytest.mark.requirement("FR-SOLVE-GRID")
@pytest.mark.parametrize(
    "text", ["quant,context", "kv,users", "devices,quant", "weights,kv-cache", "context,device"]
)
def test_every_axis_has_values_of_its_own(text: str) -> None:
    """Axes that are only named take the types, lengths, users and counts that make sense."""
    grid = make_grid(asked(), text)
    assert len(grid.rows.values) > 1
    assert len(grid.columns.values) > 1
    assert len(grid.cells) == len(grid.rows.values)


@pytest.mark.requirement("FR-SOLVE-GRID", "NFR-BAD-INPUT")
@pytest.mark.parametrize(
    ("text", "error"),
    [("quant", UsageError), ("a,b", UnknownOptionError), ("kv,kv", UsageError),
     ("quant,context=x", UsageError),
     ("users=0,context", UsageError), ("a,b,c", UsageError), ("", UsageError)],
)  # fmt: skip
def test_a_grid_that_cannot_be_read_ends_in_a_sentence(text: str, error: type[Exception]) -> None:
    """Two axes, different ones, with values that can be read."""
    with pytest.raises(error):
        make_grid(asked(), text)


@pytest.mark.requirement("FR-SOLVE-GRID", "NFR-BAD-INPUT")
def test_too_many_cells_and_devices_without_one_are_refused() -> None:
    """A grid is bounded, and the axis devices needs a device."""
    values = ":".join(str(1000 + n) for n in range(200))
    with pytest.raises(UsageError, match="cells are more"):
        make_grid(asked(), f"context={values},users=1:2:3:4:5:6")
    with pytest.raises(UsageError, match="give --device"):
        make_grid(asked(device=""), "devices,context")


@pytest.mark.requirement("FR-SOLVE-GRID")
def test_text_csv_and_picture_say_the_same() -> None:
    """Every cell is in all three; the picture is well-formed and readable without its colours."""
    grid = make_grid(asked(), "quant=Q4_K_M:Q8_0:stored,context=4k:40k")
    screen = grid_screen(grid, "a model")
    rows = list(csv.DictReader(io.StringIO(grid_csv(grid))))
    picture = ET.fromstring(grid_svg(screen))  # noqa: S314 - our own picture
    said = " ".join(node.text or "" for node in picture.iter())
    assert len(rows) == 6
    for line, cell in zip(rows, (one for row in grid.cells for one in row), strict=True):
        assert float(line["share_of_fullest"]) == pytest.approx(share_of(cell), abs=1e-6)
    for cell in (one for row in screen.cells for one in row):
        assert cell.text in said
        assert (cell.level == 3) == cell.text.endswith("x")
