"""Numbers in what tools print."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwledger.telemetry.merge import pci_key
from hwledger.telemetry.parsing import measured, number_in, said_nothing
from hwledger.telemetry.quantity import DEVICE, ENGINE, HOST, MEANINGS, Quantity
from hwledger.telemetry.reading import Absent, Gauge, Reason, Value

pytestmark = pytest.mark.requirement("FR-TEL-READING")
GAUGE = Gauge("test")


@pytest.mark.parametrize(
    ("quantity", "text", "value"),
    [
        (Quantity.MEMORY_TOTAL, "24576 MiB", 24576 << 20),
        (Quantity.MEMORY_TOTAL, "1.5GiB", 3 << 29),
        (Quantity.UTILIZATION, "37 %", 0.37),
        (Quantity.TEMPERATURE, "48C", 48),
        (Quantity.TEMPERATURE, "48.5 °C", 48.5),
        (Quantity.POWER, "71500 mW", 71.5),
        (Quantity.CLOCK, "2520 MHz", 2.52e9),
        (Quantity.POWER, "0 W", 0),
    ],
)
def test_units_become_base_units(quantity: Quantity, text: str, value: float) -> None:
    """A number with its unit is given in bytes, ratios, degrees, watts or hertz; zero stays zero."""
    found = measured(GAUGE, quantity, text)
    assert isinstance(found, Value)
    assert found.value == pytest.approx(value)
    assert found.unit is MEANINGS[quantity].unit


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("N/A", Reason.UNSUPPORTED),
        ("[N/A]", Reason.UNSUPPORTED),
        ("[Not Supported]", Reason.UNSUPPORTED),
        ("[Function Not Found]", Reason.UNSUPPORTED),
        ("[Insufficient Permissions]", Reason.NO_PERMISSION),
        ("[GPU is lost]", Reason.LOST_DEVICE),
        ("[Unknown Error]", Reason.LOST_DEVICE),
        ("N/A (Secondary die)", Reason.UNSUPPORTED),
        ("", Reason.UNPARSED),
        ("twelve", Reason.UNPARSED),
        ("12 parsecs", Reason.UNPARSED),
        ("12 MiB", Reason.UNPARSED),
        ("nan", Reason.UNPARSED),
        ("1e999", Reason.UNPARSED),
        ("400 C", Reason.UNPARSED),
    ],
)
def test_what_is_no_value_has_its_reason(text: str, reason: Reason) -> None:
    """Words in place of a value, other units and impossible numbers become the reason that they mean."""
    found = measured(GAUGE, Quantity.TEMPERATURE, text)
    assert isinstance(found, Absent)
    assert found.reason is reason


def test_a_tool_may_spell_units_in_its_own_way() -> None:
    """A tool whose MB is MiB says so; others' MB is a million bytes."""
    mine = measured(GAUGE, Quantity.MEMORY_USED, "2 MB", spelled={"mb": "mib"})
    theirs = measured(GAUGE, Quantity.MEMORY_USED, "2 MB")
    assert isinstance(mine, Value)
    assert isinstance(theirs, Value)
    assert (mine.value, theirs.value) == (2 << 20, 2_000_000)


@given(st.text(max_size=60) | st.from_regex(r"-?[0-9.eE+]{0,30} ?[A-Za-z%°/]{0,5}", fullmatch=True))
def test_no_text_raises_and_no_number_is_made_up(text: str) -> None:
    """Whatever a tool prints is a value in range or a reason; a value is the number that stands there."""
    found = measured(GAUGE, Quantity.POWER, text)
    said_nothing(text)
    if isinstance(found, Value):
        assert isinstance(found.value, int | float)
        assert math.isfinite(found.value)
        number = number_in(text)
        assert number is not None
        assert any(math.isclose(found.value, number[0] * f) for f in (1, 1e-3, 1e-6))


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("00000000:01:00.0", "0000:01:00.0"),
        ("0000:C3:00.0", "0000:c3:00.0"),
        ("01:00.0", "0000:01:00.0"),
        ("0001:0f:00.1", "0001:0f:00.1"),
        ("GPU-1234", None),
        ("", None),
    ],
)
def test_pci_addresses_are_spelled_one_way(written: str, key: str | None) -> None:
    """Every source's spelling of an address is the same key."""
    assert pci_key(written) == key


def test_every_quantity_is_described_once() -> None:
    """The table has a meaning for every name, and each belongs to device, engine or host."""
    assert set(MEANINGS) == set(Quantity) == {*DEVICE, *ENGINE, *HOST}
    assert len(DEVICE) + len(ENGINE) + len(HOST) == len(Quantity)
