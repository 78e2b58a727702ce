"""Nodes: devices, what joins them, and the host that they are in."""

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Final

from hwledger.device.catalogue import NOTHING, Own, parse_devices
from hwledger.device.names import find_shipped
from hwledger.device.pcie import pcie_bandwidth
from hwledger.device.spec import DeviceSpec
from hwledger.device.words import words_of
from hwledger.errors import AmbiguousError
from hwledger.shipped import shipped_text
from hwledger.units import GIB

_HOST_RATES: Final = ("fp32", "bf16")
Bytes = Any
"""A number of bytes, or an array of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """Devices in one host; each keeps its own memory, mixed ones are never added up.

    Attributes:
        name: what it is called; the devices where it has no name.
        devices: one by one, in order.
        link, link_bytes_per_second: what joins the devices beside PCIe, and the bandwidth per direction of
            one device to all others together; ``None`` where there is only PCIe or it is not known.
        pcie_bytes_per_second: of one device to the host, per direction; ``None`` where not known.
        host_memory_bytes: memory apart from the devices'; 0 where they share the host's own, ``None``
            where not known.
        host_bandwidth_bytes_per_second: of the host's memory; ``None`` where not known.
        host_rates: dense FLOP/s of the host's processors per number type, as ``DeviceSpec.rates``.
        source: where the figures are from.
        aliases: other names.
    """

    name: str
    devices: tuple[DeviceSpec, ...]
    link: str = ""
    link_bytes_per_second: int | None = None
    pcie_bytes_per_second: int | None = None
    host_memory_bytes: int | None = None
    host_bandwidth_bytes_per_second: int | None = None
    host_rates: Mapping[str, float] = field(default_factory=dict, hash=False)
    source: str = ""
    aliases: tuple[str, ...] = ()

    @property
    def mixed(self) -> bool:
        """Whether the devices are not all alike."""
        return len(set(self.devices)) > 1

    @property
    def unified(self) -> bool:
        """Whether every device shares the host's memory."""
        return all(device.unified for device in self.devices)


def node_of(devices: Sequence[DeviceSpec], name: str = "") -> Node:
    """Return the node that devices make in a host of which nothing is known.

    The link counts where all devices have the same one; a bridge is never assumed. The slot is the
    narrowest. Where all devices share the host's memory there is none apart from theirs.
    """
    links = {(device.link, device.link_bytes_per_second) for device in devices}
    link, bandwidth = links.pop() if len(links) == 1 and len(devices) > 1 else ("", None)
    slots = [device.pcie_bytes_per_second for device in devices]
    known = [slot for slot in slots if slot is not None]
    unified = bool(devices) and all(device.unified for device in devices)
    return Node(
        name=name or _listed(devices), devices=tuple(devices), link=link, link_bytes_per_second=bandwidth,
        pcie_bytes_per_second=min(known) if known and len(known) == len(slots) else None,
        host_memory_bytes=0 if unified else None,
        host_bandwidth_bytes_per_second=devices[0].bandwidth_bytes_per_second if unified else None,
        source="devices named by the user; of the host nothing is known",
    )  # fmt: skip


def node_for(node: Node | None, devices: Sequence[DeviceSpec]) -> Node:
    """Return the node that runs a plan: the one that was named, else what is known of the devices alone.

    Its links join its own devices, or some of them; where a plan has more of them, or others, nothing is
    known of what joins those, and the host alone counts.
    """
    if node is None:
        return node_of(devices)
    asked, there = (Counter(device.name for device in some) for some in (devices, node.devices))
    if asked <= there:
        return replace(node, devices=tuple(devices))
    return replace(
        node_of(devices, node.name), host_memory_bytes=node.host_memory_bytes, source=node.source,
        host_bandwidth_bytes_per_second=node.host_bandwidth_bytes_per_second, host_rates=node.host_rates,
    )  # fmt: skip


def host_room_bytes(node: Node | None, devices: Sequence[DeviceSpec], on_devices: Bytes) -> Bytes | None:
    """Return the bytes that the host has for a plan; ``None`` where they are not known.

    Where the devices share the host's memory, it is what they leave of it. The operating system's own share
    is not taken off.

    Args:
        node: the node that was named.
        devices: of the plan.
        on_devices: bytes that the plan puts on them, a number or an array.
    """
    if node is None or node.host_memory_bytes is None:
        return None
    if node.host_memory_bytes:
        return on_devices * 0 + node.host_memory_bytes
    return sum(device.memory_bytes for device in devices) - on_devices


def parse_node(text: str, own: Own = NOTHING) -> Node:
    """Return the node that a text means: ``DGX H100``, ``p5.48xlarge``, one of the user's, or a device list.

    Raises:
        AmbiguousError: several nodes or devices answer to it; they are listed.
        UnknownOptionError, UsageError: as ``parse_devices``.
    """
    return find_node(text, own.nodes) or node_of(parse_devices(text, own))


def find_node(text: str, own_nodes: Iterable[Node] = ()) -> Node | None:
    """Return the node of that name, the user's before those of the package; ``None`` where there is none.

    Raises:
        AmbiguousError: several nodes answer to it.
    """
    return _named(text, tuple(own_nodes)) or _named(text, shipped_nodes())


@cache
def shipped_nodes() -> tuple[Node, ...]:
    """Return the well-known nodes that ship with the package."""
    text = shipped_text("hwledger.device", "data/nodes.csv")
    return tuple(map(_node, csv.DictReader(text.splitlines())))


def _node(row: Mapping[str, str]) -> Node:
    count, _, name = row["devices"].rpartition("x ")
    first = find_shipped(name)
    made = node_of((first,) * int(count or 1))
    host, bandwidth = row["host_memory_gib"], row["host_gigabytes_per_second"]
    bridged = row["bridged"] == "yes"
    return Node(
        name=row["name"], devices=made.devices, link=first.bridge if bridged else made.link,
        link_bytes_per_second=first.bridge_bytes_per_second if bridged else made.link_bytes_per_second,
        pcie_bytes_per_second=pcie_bandwidth(row["pcie"]) or made.pcie_bytes_per_second,
        host_memory_bytes=int(host) * GIB if host else None,
        host_bandwidth_bytes_per_second=round(float(bandwidth) * 1e9) if bandwidth else None,
        host_rates={k: float(row[f"host_{k}_tera"]) * 1e12 for k in _HOST_RATES if row[f"host_{k}_tera"]},
        source=row["source"],
        aliases=tuple(alias.strip() for alias in row["aliases"].split(";") if alias.strip()),
    )  # fmt: skip


def _named(text: str, nodes: tuple[Node, ...]) -> Node | None:
    """Return the node whose name or other name is the text, or whose name has all its words."""
    typed = words_of(text)
    if not typed:
        return None
    for node in nodes:
        if any(words_of(name) == typed for name in (node.name, *node.aliases)):
            return node
    fitting = [node for node in nodes if set(typed) < set(words_of(node.name)) and typed[0] in _WHOLE]
    if len(fitting) > 1:
        raise AmbiguousError(text, [node.name for node in fitting])
    return fitting[0] if fitting else None


_WHOLE: Final = frozenset({"dgx", "hgx"})  # "DGX A100" is a node of either memory size, "A100" is none


def _listed(devices: Sequence[DeviceSpec]) -> str:
    counts: dict[str, int] = {}
    for device in devices:
        counts[device.name] = counts.get(device.name, 0) + 1
    return ", ".join(f"{count}x {name}" if count > 1 else name for name, count in counts.items())
