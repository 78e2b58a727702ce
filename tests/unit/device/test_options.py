"""What is said of a device behind its name."""

import pytest

from hwledger.device.catalogue import find_device, parse_devices
from hwledger.errors import UnknownOptionError, UsageError
from hwledger.units import GIB, MIB

pytestmark = pytest.mark.requirement("FR-DEVICES-MEMORY")


@pytest.mark.parametrize(
    ("typed", "mib"), [("M2 Ultra 192GB wired=180000", 180000), ("M3 Max 64GB wired=56GiB", 56 * 1024)]
)
def test_the_wired_limit_is_the_working_set(typed: str, mib: int) -> None:
    """A bare number is MiB, as the sysctl has it; the figure says that the user set it."""
    device = find_device(typed)
    assert device.usable_bytes == mib * MIB
    assert (device.usable_basis, f"iogpu.wired_limit_mb={mib}" in device.usable_source) == ("exact", True)


def test_a_wired_limit_of_zero_is_the_systems_own() -> None:
    """``iogpu.wired_limit_mb=0`` changes nothing."""
    assert find_device("M3 Max 64GB wired=0") == find_device("M3 Max 64GB")


def test_usable_and_reserved_memory_are_said_by_the_user() -> None:
    """What is reserved is taken off what programs can use."""
    plain = find_device("RTX 4090")
    assert find_device("RTX 4090 usable=20GiB").usable_bytes == 20 * GIB
    assert find_device("RTX 4090 reserve=1GiB").usable_bytes == plain.usable_bytes - GIB
    assert find_device("Strix Halo usable=110GiB").usable_bytes == 110 * GIB


def test_power_limits_and_slots_go_to_every_device_of_a_count() -> None:
    """``@ 250W`` is a power limit; the board's own power stays known."""
    cards = parse_devices("2x RTX 3090 power=250W pcie=3.0x4, RTX 4090 @ 300 W")
    assert [card.power_watts for card in cards] == [250, 250, 300]
    assert (cards[0].tdp_watts, cards[0].pcie) == (350, "3.0 x4")
    assert cards[0].pcie_bytes_per_second == pytest.approx(3.94e9, rel=0.01)


@pytest.mark.requirement("NFR-BAD-INPUT")
@pytest.mark.parametrize(
    "typed",
    [
        "RTX 4090 wired=20GiB", "M2 Ultra 192GB wired=²",
        "M2 Ultra 192GB wired=" + 5000 * "9",
        "RTX 4090 usable=25GiB", "RTX 4090 usable=x", "RTX 4090 reserve=24GiB",
        "RTX 4090 power=0", "RTX 4090 power=5W", "RTX 4090 power=9000W", "RTX 4090 @ 89W",
        "RTX 4090 power=lots", "RTX 4090 power=1e999",
        "RTX 4090 pcie=4", "M3 Max 64GB wired=65GiB",
        "RTX 4090 usable=9999TiB", "RTX 4090 reserve=-1", "RTX 4090 usable=0",
    ],
)  # fmt: skip
def test_values_that_a_device_cannot_have_are_refused(typed: str) -> None:
    """Each ends in a usage error that says what to give."""
    with pytest.raises(UsageError):
        find_device(typed)


def test_unknown_options_are_listed() -> None:
    """The sentence has the options that exist."""
    with pytest.raises(UnknownOptionError, match="power, reserve, usable, wired"):
        find_device("RTX 4090 colour=red")
