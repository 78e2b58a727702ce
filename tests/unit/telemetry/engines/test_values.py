"""The table of what each engine tells: whole, and true of the readers."""

import json
from pathlib import Path

import pytest

from hwledger.telemetry.engines.formats import TITLES
from hwledger.telemetry.engines.live import asking
from hwledger.telemetry.engines.tables import metric_table
from hwledger.telemetry.engines.values import engine_values, told_live
from hwledger.telemetry.quantity import ENGINE, Quantity

pytestmark = pytest.mark.requirement("FR-TEL-ENGINES")
GOLDEN = Path(__file__).parent.parent.parent.parent / "data" / "telemetry" / "engines"


def test_every_engine_has_every_cell() -> None:
    """For each engine and each value: where it is told, or why a running engine does not tell it."""
    table = engine_values()
    assert set(table) == set(TITLES) == set(asking._SLOW) == set(asking._FAST)
    for cells in table.values():
        assert set(cells) == set(ENGINE)
        assert all(bool(cell.live) != bool(cell.why_not) for cell in cells.values())


def test_every_metric_is_declared() -> None:
    """What a page is read for is in the table."""
    table = engine_values()
    for engine, metrics in metric_table().metrics.items():
        quotients = metric_table().quotients[engine]
        for quantity in [each.quantity for each in (*metrics, *quotients)]:
            assert table[engine][quantity].live, (engine, quantity)


def test_every_value_of_a_recorded_output_is_declared() -> None:
    """No reader tells a value that the table does not know of."""
    for path in GOLDEN.rglob("*.json"):
        for engine in json.loads(path.read_text("utf-8"))["engines"]:
            held = [engine["readings"], *(model["readings"] for model in engine["models"])]
            told = {name for each in held for name, reading in each.items() if reading["value"] is not None}
            for name in told:
                cell = engine_values()[engine["engine"]][Quantity(name)]
                assert cell.live or cell.log, (path.name, name)


def test_the_source_declares_what_some_engine_tells() -> None:
    """The coverage is the table's."""
    assert {Quantity.DECODE_SPEED, Quantity.WEIGHTS_BYTES, Quantity.CONTEXT} <= told_live() <= set(ENGINE)
