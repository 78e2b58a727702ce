"""Nodes: devices with their links and host."""

import pytest

from hwledger.device.catalogue import parse_devices
from hwledger.device.node import find_node, node_of, parse_node, shipped_nodes
from hwledger.errors import AmbiguousError, UnknownOptionError
from hwledger.units import GIB

pytestmark = pytest.mark.requirement("FR-DEVICES-NODES")


def test_a_well_known_node_has_its_devices_links_and_host() -> None:
    """A DGX H100 is eight SXM modules behind NVLink switches in a host of 2 TB."""
    node = parse_node("dgx h100")
    assert [device.name for device in node.devices] == ["H100 SXM 80GB"] * 8
    assert (node.link, node.link_bytes_per_second) == ("NVLink4", 450 * 10**9)
    assert (node.host_memory_bytes, node.host_bandwidth_bytes_per_second) == (2048 * GIB, 614_400_000_000)
    assert node.host_rates["bf16"] > node.host_rates["fp32"] > 1e12
    assert not node.mixed
    assert node.source


def test_every_shipped_node_is_found_by_each_of_its_names() -> None:
    """Names and other names lead to one node, which has devices, a source and plausible figures."""
    for node in shipped_nodes():
        assert node.devices
        assert node.source
        for name in (node.name, *node.aliases):
            assert find_node(name) is node, name
        assert node.host_memory_bytes is None or node.host_memory_bytes < 20_000 * GIB
        if len(node.devices) > 1 and node.link_bytes_per_second:
            assert node.link


def test_nodes_of_one_name_are_listed() -> None:
    """A DGX A100 was sold with two memory sizes: neither is chosen."""
    with pytest.raises(AmbiguousError) as caught:
        parse_node("DGX A100")
    assert set(caught.value.candidates) == {"DGX A100 320GB", "DGX A100 640GB"}


def test_mixed_cards_stay_as_they_are() -> None:
    """Cards of a list keep their order and their own memory; there is no common link between them."""
    node = parse_node("RTX 4090, 2x RTX 3090 pcie=3.0x8")
    assert [device.name for device in node.devices] == ["RTX 4090", "RTX 3090", "RTX 3090"]
    assert node.mixed
    assert node.name == "RTX 4090, 2x RTX 3090"
    assert (node.link, node.link_bytes_per_second, node.host_memory_bytes) == ("", None, None)
    assert node.pcie_bytes_per_second == node.devices[1].pcie_bytes_per_second


def test_a_bridge_is_never_assumed() -> None:
    """Two cards that could be bridged are on PCIe unless the user says otherwise."""
    cards = parse_devices("2x RTX 3090")
    assert cards[0].bridge_bytes_per_second == 56_250_000_000
    assert node_of(cards).link_bytes_per_second is None


def test_a_shared_memory_machine_has_no_memory_beside_its_device() -> None:
    """Nothing can be offloaded from a unified pool to itself."""
    node = parse_node("M3 Ultra 256GB")
    assert node.unified
    assert node.host_memory_bytes == 0
    assert node.host_bandwidth_bytes_per_second == node.devices[0].bandwidth_bytes_per_second


def test_a_single_device_has_no_link_to_peers() -> None:
    """Of an SXM module alone in a host the link joins nothing."""
    assert parse_node("p5.4xlarge").link_bytes_per_second is None


def test_an_unknown_node_is_an_unknown_device() -> None:
    """The nearest names are listed."""
    with pytest.raises(UnknownOptionError):
        parse_node("DGX Z900")
