"""The devices screen: the accelerators and nodes that can be planned for, and what is known of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from hwledger.device.catalogue import Own, devices, find_candidates, parse_devices
from hwledger.device.node import Node, find_node, shipped_nodes
from hwledger.device.spec import RATE_TYPES, DeviceSpec
from hwledger.errors import UsageError
from hwledger.library.own_devices import own_devices
from hwledger.screens.models import Columns
from hwledger.units import format_bytes, format_gib

TERA: Final = 1e12
DEVICE_COLUMNS: Columns = (
    ("device", False), ("memory", True), ("usable", True), ("bandwidth", True), ("fp16", True), ("fp8", True),
    ("link", False), ("PCIe", False), ("power", True), ("year", True),
)  # fmt: skip
NODE_COLUMNS: Columns = (
    ("node", False), ("devices", False), ("link", False), ("host memory", True), ("host bandwidth", True),
)  # fmt: skip
FACT_COLUMNS: Columns = (("fact", False), ("value", True), ("basis", False), ("from", False))


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """One device of the list.

    Attributes:
        device: the device.
        own: whether the user defined it.
    """

    device: DeviceSpec
    own: bool = False

    @property
    def cells(self) -> tuple[str, ...]:
        """Return name, memory, usable memory, bandwidth, rates, link, slot, power and year."""
        device = self.device
        parts = f" (one of {device.parts})" if device.parts > 1 else ""
        return (
            f"{device.name}{parts}{', own' if self.own else ''}", format_gib(device.memory_bytes, 0),
            format_gib(device.usable_bytes, 1), bandwidth(device.bandwidth_bytes_per_second),
            rate(device.rates.get("fp16") or device.rates.get("bf16")), rate(device.rates.get("fp8")),
            _link(device), device.pcie, f"{device.tdp_watts} W" if device.tdp_watts else "",
            str(device.released or ""),
        )  # fmt: skip

    def matches(self, words: Sequence[str]) -> bool:
        """Whether every word is somewhere in what kind of device this is."""
        device = self.device
        text = f"{device.name} {device.vendor} {device.category} {device.architecture} {device.memory_type}"
        return all(word.lower() in f"{text} {'own' if self.own else ''}".lower() for word in words)

    def as_dict(self) -> dict[str, Any]:
        """Return everything that is known of the device, for JSON."""
        device = self.device
        return {
            "name": device.name, "own": self.own, "vendor": device.vendor,
            "category": device.category or None, "architecture": device.architecture or None,
            "units": device.units, "parts": device.parts,
            "compute_capability": device.compute_capability or None,
            "unified": device.unified,
            "memory_bytes": device.memory_bytes, "memory_type": device.memory_type or None,
            "usable": {"bytes": device.usable_bytes, "basis": device.usable_basis,
                       "source": device.usable_source or device.source},
            "context": {"bytes": device.context_bytes, "basis": device.context_basis,
                        "source": device.context_source or None},
            "bandwidth_bytes_per_second": device.bandwidth_bytes_per_second,
            "rates_per_second": {kind: device.rates.get(kind) for kind in RATE_TYPES},
            "link": _joined(device.link, device.link_bytes_per_second),
            "bridge": _joined(device.bridge, device.bridge_bytes_per_second),
            "pcie": _joined(device.pcie, device.pcie_bytes_per_second),
            "tdp_watts": device.tdp_watts, "power_watts": device.power_watts, "released": device.released,
            "price": _price(device), "source": device.source,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class NodeRow:
    """One node of the list.

    Attributes:
        node: the node.
        own: whether the user defined it.
    """

    node: Node
    own: bool = False

    @property
    def cells(self) -> tuple[str, ...]:
        """Return name, devices, link, host memory and host bandwidth."""
        node = self.node
        link = f"{node.link} {bandwidth(node.link_bytes_per_second)}".strip()
        shared = "shared" if node.host_memory_bytes == 0 else ""
        return (
            f"{node.name}{', own' if self.own else ''}", ", ".join(_counted(node)), link,
            format_gib(node.host_memory_bytes, 0) if node.host_memory_bytes else shared,
            bandwidth(node.host_bandwidth_bytes_per_second),
        )  # fmt: skip

    def matches(self, words: Sequence[str]) -> bool:
        """Whether every word is somewhere in the node's names or its devices."""
        text = " ".join((self.node.name, *self.node.aliases, *_counted(self.node))).lower()
        return all(word.lower() in text for word in words)

    def as_dict(self) -> dict[str, Any]:
        """Return everything that is known of the node, for JSON."""
        node = self.node
        return {
            "name": node.name, "own": self.own, "devices": [device.name for device in node.devices],
            "link": _joined(node.link, node.link_bytes_per_second),
            "pcie_bytes_per_second": node.pcie_bytes_per_second, "unified": node.unified, "mixed": node.mixed,
            "host_memory_bytes": node.host_memory_bytes,
            "host_bandwidth_bytes_per_second": node.host_bandwidth_bytes_per_second,
            "host_rates_per_second": dict(node.host_rates), "source": node.source,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class DevicesScreen:
    """What is shown: one device or node in full, or lists.

    Attributes:
        devices: the devices, own ones first.
        nodes: the nodes, own ones first.
        full: whether there is one of them, which is shown with all its facts.
        like: names of devices that are like the one that is shown.
    """

    devices: tuple[DeviceRow, ...] = ()
    nodes: tuple[NodeRow, ...] = ()
    full: bool = False
    like: tuple[str, ...] = ()

    @property
    def footer(self) -> str:
        """Return the line under the lists."""
        if self.full:
            return f"See also: {', '.join(self.like)}" if self.like else ""
        found = (
            [f"{len(self.devices):,} device{'s' if len(self.devices) != 1 else ''}"] if self.devices else []
        )
        found += [f"{len(self.nodes):,} node{'s' if len(self.nodes) != 1 else ''}"] if self.nodes else []
        return " and ".join(found) or "nothing in the catalogue matches"

    def as_dict(self) -> dict[str, Any]:
        """Return the screen for JSON."""
        return {
            "devices": [row.as_dict() for row in self.devices],
            "nodes": [row.as_dict() for row in self.nodes],
        }


def devices_screen(
    words: Sequence[str], *, own_only: bool = False, nodes_only: bool = False
) -> DevicesScreen:
    """Return what the words name: one device or node in full, else all that have every word.

    Raises:
        UsageError: the words are a device with a memory size or an option that it does not have.
        InputError: the file of the user's own devices cannot be used.
    """
    own = own_devices()
    text = " ".join(words)
    if words and not (own_only or nodes_only) and (one := _one(text, own)):
        return one
    rows = [DeviceRow(entry.device, own=True) for entry in own.devices]
    nodes = [NodeRow(node, own=True) for node in own.nodes]
    if not own_only:
        rows += [DeviceRow(device) for device in devices()]
        nodes += [NodeRow(node) for node in shipped_nodes()]
    several = {device.name for device in find_candidates(text, own)} if words else set()
    shown = [row for row in rows if row.device.name in several] if several else []
    shown = shown or [row for row in rows if row.matches(words)]
    return DevicesScreen(
        () if nodes_only else tuple(shown),
        tuple(row for row in nodes if row.matches(words)) if nodes_only or own_only else (),
    )


def facts(device: DeviceSpec) -> list[tuple[str, ...]]:
    """Return every fact of a device: what, how much, on which basis, from where."""
    rows = [
        ("memory", format_bytes(device.memory_bytes), "", device.memory_type),
        ("usable memory", format_bytes(device.usable_bytes), device.usable_basis, device.usable_source),
        (
            "context of a process",
            format_bytes(device.context_bytes),
            device.context_basis,
            device.context_source,
        ),
        ("memory bandwidth", bandwidth(device.bandwidth_bytes_per_second), "", ""),
        *((f"dense {kind}", rate(device.rates[kind]), "", "") for kind in RATE_TYPES if kind in device.rates),
        ("link, each direction", _link(device), "", "to all peers together" if device.link else ""),
        ("bridge, each direction", _bridge(device), "", "for pairs; assumed only where it is said"),
        ("PCIe, each direction", bandwidth(device.pcie_bytes_per_second), "", device.pcie),
        ("power", f"{device.tdp_watts} W" if device.tdp_watts else "", "", ""),
        ("price", _money(device), "", f"{device.price.date}: {device.price.source}" if device.price else ""),
        ("units", str(device.units or ""), "", f"{device.architecture} {device.compute_capability}".strip()),
        ("released", str(device.released or ""), "", ""),
    ]
    return [row for row in rows if row[1]]


def bandwidth(bytes_per_second: float | None) -> str:
    """Return a bandwidth in the vendors' decimal units; empty where it is not known."""
    if not bytes_per_second:
        return ""
    tera = bytes_per_second / TERA
    return f"{tera:.3g} TB/s" if tera >= 1 else f"{tera * 1000:.4g} GB/s"


def rate(per_second: float | None) -> str:
    """Return operations per second in the vendors' units; empty where that is not known."""
    if not per_second:
        return ""
    peta = per_second / TERA / 1000
    return f"{peta:.3g} P" if peta >= 1 else f"{peta * 1000:.4g} T"


def _one(text: str, own: Own) -> DevicesScreen | None:
    """Return the screen of the one device or node that a text names; ``None`` where it names several."""
    node = _node(text, own)
    if node is not None:
        return DevicesScreen(nodes=(NodeRow(node, own=node in own.nodes),), full=True)
    found = find_candidates(text, own)
    if len(found) > 1 or (not found and not any(map(str.isdigit, text))):
        return None
    device = parse_devices(text, own)[0]
    mine = any(entry.device.name == device.name for entry in own.devices)
    word = max(device.name.split(), key=lambda part: sum(map(str.isdigit, part)))
    like = [other.name for other in devices() if word in other.name.split() and other.name != device.name]
    return DevicesScreen((DeviceRow(device, own=mine),), full=True, like=tuple(like[:12]))


def _node(text: str, own: Own) -> Node | None:
    try:
        return find_node(text, own.nodes) if not find_candidates(text, own) or own.nodes else None
    except UsageError:
        return None


def _counted(node: Node) -> list[str]:
    counts: dict[str, int] = {}
    for device in node.devices:
        counts[device.name] = counts.get(device.name, 0) + 1
    return [f"{count}x {name}" if count > 1 else name for name, count in counts.items()]


def _link(device: DeviceSpec) -> str:
    return f"{device.link} {bandwidth(device.link_bytes_per_second)}".strip()


def _bridge(device: DeviceSpec) -> str:
    return f"{device.bridge} {bandwidth(device.bridge_bytes_per_second)}".strip()


def _joined(name: str, bytes_per_second: int | None) -> dict[str, Any] | None:
    return {"name": name or None, "bytes_per_second": bytes_per_second} if name or bytes_per_second else None


def _money(device: DeviceSpec) -> str:
    return f"{device.price.amount:,.0f} {device.price.currency}" if device.price else ""


def _price(device: DeviceSpec) -> dict[str, Any] | None:
    price = device.price
    if price is None:
        return None
    return {
        "amount": price.amount,
        "currency": price.currency,
        "date": price.date or None,
        "source": price.source,
    }
