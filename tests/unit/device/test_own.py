"""Devices and nodes of the user's own, from TOML text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwledger.device.catalogue import find_device, parse_devices
from hwledger.device.node import parse_node
from hwledger.device.own import parse_own
from hwledger.errors import MalformedError
from hwledger.units import GIB

pytestmark = pytest.mark.requirement("FR-DEVICES-OWN")

EXAMPLE = """
[[device]]
name = "RTX 3080 20GB (rebuilt)"
aliases = ["my 3080"]
like = "RTX 3080 10GB"
memory = "20GiB"

[[device]]
name = "Frankencard"
memory = "64GiB"
usable = "62GiB"
bandwidth = "1.2TB/s"
rates = { fp16 = "200 TFLOPS", int8 = 4e14 }
pcie = "4.0 x8"
price = 1500
price_date = "2026-10"
source = "measured here"

[[node]]
name = "rig"
devices = ["2x RTX 3090", "my 3080", "Frankencard"]
link_bandwidth = "56.25GB/s"
host_memory = "128GiB"
host_bandwidth = "83.2GB/s"
host_rates = { fp32 = "1.5T" }
"""


def test_a_device_is_like_another_but_for_what_is_said() -> None:
    """Memory is replaced, the usable share and all rates are kept, and the source says so."""
    own = parse_own(EXAMPLE, "devices.toml")
    mine, other = find_device("my 3080", own), find_device("RTX 3080 10GB")
    assert (mine.memory_bytes, mine.rates) == (20 * GIB, other.rates)
    assert mine.usable_bytes / mine.memory_bytes == pytest.approx(other.usable_bytes / other.memory_bytes)
    assert mine.source.startswith("defined by the user in devices.toml")
    assert "same share" in mine.usable_source


def test_a_device_can_be_described_from_nothing() -> None:
    """Each figure is taken with its unit."""
    card = find_device("frankencard", parse_own(EXAMPLE, "devices.toml"))
    assert (card.usable_bytes, card.usable_basis) == (62 * GIB, "exact")
    assert card.bandwidth_bytes_per_second == 1_200_000_000_000
    assert card.rates == {"fp16": 2e14, "int8": 4e14}
    assert card.price is not None
    assert (card.price.amount, card.price.currency, card.price.date) == (1500, "USD", "2026-10")
    assert card.pcie_bytes_per_second == pytest.approx(15.75e9, rel=0.01)


def test_a_node_of_own_and_other_devices() -> None:
    """Nodes and own devices may stand in any device list, before those of the package."""
    own = parse_own(EXAMPLE, "devices.toml")
    node = parse_node("rig", own)
    names = ["RTX 3090", "RTX 3090", "RTX 3080 20GB (rebuilt)", "Frankencard"]
    assert [device.name for device in node.devices] == names
    assert (node.link_bytes_per_second, node.host_memory_bytes) == (56_250_000_000, 128 * GIB)
    assert node.host_rates == {"fp32": 1.5e12}
    assert [device.name for device in parse_devices("rig + 2x frankencard", own)] == [
        *names,
        *["Frankencard"] * 2,
    ]


def test_an_own_device_comes_before_one_of_the_package() -> None:
    """A name that the user gives is the user's."""
    own = parse_own('[[device]]\nname = "RTX 4090"\nmemory = "48GiB"', "devices.toml")
    assert find_device("4090", own).memory_bytes == find_device("rtx 4090", own).memory_bytes == 48 * GIB
    assert find_device("RTX 4090").memory_bytes == 24 * GIB


CARD = '[[device]]\nname = "my thing"\nmemory = "24GiB"\n'


@pytest.mark.requirement("NFR-BAD-INPUT")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[device]]\nname = "my thing"\nmemory = 24', "line 3: device 1 .'my thing'., memory: .*\"24GiB\""),
        ('[[device]]\nname = "my thing"\nmemory = "24XB"', "line 3: .*24XB"),
        ('[[device]]\nname = "my thing"\n', "memory: is missing"),
        ('[[device]]\nmemory = "1GiB"', "line 1: device 1, name: is missing"),
        ("\n\n" + CARD + 'bandwith = "1GB/s"', "line 6: .*bandwith: is not known"),
        (CARD + 'bandwidth = "1GB"', "bandwidth: .*936GB/s"),
        (CARD + 'usable = "25GiB"', "usable: is more than the memory"),
        (CARD + "rates = { fp17 = 1e12 }", "fp17.*known: fp32"),
        (CARD + "rates = { fp16 = inf }", "fp16 is to be operations"),
        (CARD + "rates = { fp16 = nan }", "fp16 is to be operations"),
        (CARD + "tdp = 0", "tdp: is to be a whole number of watts from 1"),
        (CARD + "tdp = 1e400", "tdp: is to be a number"),
        (CARD + "units = 1.5", "units: is to be a whole number"),
        (CARD + 'unified = "yes"', "unified: is to be true or false"),
        (CARD + 'pcie = "9.0 x16"', 'pcie: .*"4.0 x16"'),
        ('[[device]]\nname = "my thing"\nmemory = "1e300GiB"', "memory: "),
        ('[[device]]\nname = "my thing"\nlike = "RTX 4095"', "like: unknown device"),
        ('[[device]]\nname = "my thing"\nlike = "H100"', "like: .*could be any of"),
        ('[[device]]\nname = "!!"\nmemory = "1GiB"', "name: .*no name that can be asked for"),
        ('[[device]]\nname="a1"\nmemory="1GiB"\n[[device]]\nname="A1"\nmemory="2GiB"', "device 2 .*taken"),
        ('[[node]]\nname = "rig"', "devices: is missing"),
        ('[[node]]\nname = "rig"\ndevices = ["RTX 4095"]', "line 3: node 1 .*unknown device"),
        ('[[node]]\nname = "rig"\ndevices = [1]', "devices: is to be a list of texts"),
        ('[[node]]\nname = "rig"\ndevices = "2000x T4"', "devices: .*2000"),
        ("devices = []", "'devices' is not known"),
        ("device = 3", "write \\[\\[device\\]\\] above each"),
        ("[[device", "is no TOML"),
        ("x = " + "[" * 1900, "cannot be read|is no TOML"),
        ("x = " + "9" * 1900 * 3, "shorten it"),
        ("a" + ".a" * 900 + " = 1", "line 1: .*shorten it"),
        ("#" * (300 << 10), "larger than 256 KiB"),
        ("[[device]]\n" * 2000, "keep it to 1,000"),
    ],
    ids=lambda value: value[-24:] if isinstance(value, str) else None,
)  # fmt: skip
def test_what_is_wrong_is_said_with_file_line_and_key(text: str, said: str) -> None:
    """Wrong types, units and names, huge numbers and hostile nesting each end in one sentence."""
    with pytest.raises(MalformedError, match=said) as caught:
        parse_own(text, "my/devices.toml")
    assert str(caught.value).startswith("my/devices.toml")
    assert len(str(caught.value)) < 700


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
KEYS = st.sampled_from(
    ["name", "memory", "like", "usable", "rates", "pcie", "tdp", "devices", "aliases", "bandwidth"]
)


@pytest.mark.requirement("NFR-BAD-INPUT")
@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200) | st.lists(st.tuples(KEYS, LEAVES), max_size=5).map(
    lambda pairs: "[[device]]\n" + "\n".join(f"{key} = {str(value).lower()!r}" for key, value in pairs)
))  # fmt: skip
def test_any_text_is_devices_or_a_malformed_file(text: str) -> None:
    """No text raises anything else."""
    try:
        own = parse_own(text, "devices.toml")
    except MalformedError as error:
        told = str(error)
        assert told.startswith("devices.toml")
        return
    assert all(entry.device.memory_bytes > 0 for entry in own.devices)
