"""The devices and nodes that a user describes in TOML; the text is read elsewhere.

::

    [[device]]
    name = "RTX 3080 20GB (rebuilt)"
    like = "RTX 3080 10GB"     # what is not said is as there
    memory = "20GiB"

    [[node]]
    name = "rig"
    devices = ["2x RTX 3090", "RTX 3080 20GB (rebuilt)"]
    host_memory = "128GiB"
"""

import re
import tomllib
from dataclasses import replace
from typing import Any, Final

from hwledger.device.catalogue import Own, find_device, parse_devices
from hwledger.device.fields import Fields, Place
from hwledger.device.node import Node, node_of
from hwledger.device.options import MOST_WATTS
from hwledger.device.pcie import pcie_bandwidth
from hwledger.device.spec import RATE_TYPES, DeviceSpec, Price
from hwledger.device.table import Entry
from hwledger.device.words import words_of
from hwledger.errors import MalformedError, UsageError

Known = dict[tuple[str, ...], DeviceSpec]
"""The devices described so far, by the words of their names."""

MOST_LETTERS: Final = 1 << 18
MOST_TABLES: Final = 1000
MOST_IN_LINE: Final = 2000
# tomllib keeps every prefix of a dotted key: a long one takes memory that grows with its square.
_DOTTED: Final = re.compile(r"""(?<![\w"'-])(?:[\w"'-]++\s*+\.\s*+){16}""")
_DEVICE_KEYS: Final = frozenset(
    {
        "name", "aliases", "like", "vendor", "category", "architecture", "compute_capability", "units",
        "memory", "memory_type", "usable", "context", "bandwidth", "unified", "rates", "link",
        "link_bandwidth", "pcie", "tdp", "power", "released", "price", "currency", "price_date", "source",
    }
)  # fmt: skip
_NODE_KEYS: Final = frozenset(
    {
        "name", "aliases", "devices", "link", "link_bandwidth", "pcie", "host_memory", "host_bandwidth",
        "host_rates", "source",
    }
)  # fmt: skip


def parse_own(text: str, origin: str) -> Own:
    """Return the devices and nodes of a TOML text; nodes may use the devices.

    Args:
        text: the content of the file.
        origin: the file, for sentences.

    Raises:
        MalformedError: what is wrong, in which file, line, device and key, and what to write.
    """
    tables = _tables(text, origin)
    known: Known = {}
    entries = [
        _entry(Fields(table, Place(origin, text, "device", index, _name(table))), known)
        for index, table in enumerate(_listed(tables, "device", origin))
    ]
    own = Own(tuple(entries))
    nodes = [
        _node(Fields(table, Place(origin, text, "node", index, _name(table))), own)
        for index, table in enumerate(_listed(tables, "node", origin))
    ]
    return replace(own, nodes=tuple(nodes))


def _tables(text: str, origin: str) -> dict[str, Any]:
    if len(text) > MOST_LETTERS:
        raise MalformedError(f"{origin}: is larger than 256 KiB; describe devices, nothing else, in it")
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > MOST_IN_LINE or _DOTTED.search(line):
            raise MalformedError(f"{origin}, line {number}: is no line of a device; shorten it")
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise MalformedError(f"{origin}: is no TOML: {_short(error)}") from None
    except (RecursionError, ValueError) as error:
        raise MalformedError(f"{origin}: cannot be read: {_short(error)}") from None
    for key in tables:
        if key not in {"device", "node"}:
            raise MalformedError(f"{origin}: {key[:40]!r} is not known; write [[device]] or [[node]]")
    return tables


def _short(error: Exception) -> str:
    words = " ".join(str(error).split())
    return words if len(words) <= 200 else f"{words[:200]}…"  # noqa: PLR2004 - one line of a terminal or two


def _listed(tables: dict[str, Any], key: str, origin: str) -> list[dict[str, Any]]:
    found = tables.get(key, [])
    if not isinstance(found, list) or not all(isinstance(table, dict) for table in found):
        raise MalformedError(f"{origin}: {key} is to be a list of tables; write [[{key}]] above each")
    if len(found) > MOST_TABLES:
        raise MalformedError(f"{origin}: has {len(found):,} of {key}; keep it to {MOST_TABLES:,}")
    return found


def _name(table: dict[str, Any]) -> str:
    name = table.get("name")
    return name[:80] if isinstance(name, str) else ""


def _entry(fields: Fields, known: Known) -> Entry:
    """Return one device with its names, and add it to those that the next ones may be like."""
    fields.only(_DEVICE_KEYS)
    name, aliases = _named(fields, known)
    entry = Entry(_device(fields, name, known), tuple(map(words_of, (name, *aliases))))
    known.update(dict.fromkeys(entry.spellings, entry.device))
    return entry


def _named(fields: Fields, known: Known) -> tuple[str, tuple[str, ...]]:
    """Return the name and the other names, each of which must have a word and be new."""
    name, aliases = fields.text("name"), fields.texts("aliases")
    if not name:
        raise fields.place.error("name", "is missing; give the device a name")
    for key, each in (("name", name), *(("aliases", alias) for alias in aliases)):
        if not any(len(word) > 1 and any(map(str.isalnum, word)) for word in words_of(each)):
            raise fields.place.error(key, f"{each[:40]!r} is no name that can be asked for; give it a word")
        if words_of(each) in known:
            raise fields.place.error(key, f"{each[:40]!r} is taken by another device; give it another")
    return name, aliases


def _device(fields: Fields, name: str, known: Known) -> DeviceSpec:
    base = _base(fields, known)
    memory = fields.size("memory", base.memory_bytes if base else None)
    if memory is None:
        raise fields.place.error("memory", 'is missing; write it like memory = "24GiB", or like = "RTX 4090"')
    start = base or DeviceSpec(name=name, vendor="own", memory_bytes=memory, usable_bytes=memory)
    said = fields.size("usable")
    if said is not None and said > memory:
        raise fields.place.error("usable", "is more than the memory; give at most that")
    usable = round(memory * start.usable_bytes / start.memory_bytes) if said is None else said
    device = replace(
        start, name=name, memory_bytes=memory, usable_bytes=usable,
        usable_basis="assumed" if said is None else "exact",
        usable_source=_usable_source(start, said=said is not None, scaled=memory != start.memory_bytes),
        bandwidth_bytes_per_second=fields.bandwidth("bandwidth", start.bandwidth_bytes_per_second),
        unified=fields.flag("unified", default=start.unified),
        rates={**start.rates, **fields.rates("rates", RATE_TYPES)}, price=_price(fields, start),
        source=_source(fields, start),
    )  # fmt: skip
    return _further(fields, device)


def _base(fields: Fields, known: Known) -> DeviceSpec | None:
    like = fields.text("like")
    if not like:
        return None
    try:
        return known.get(words_of(like)) or find_device(like)
    except UsageError as error:
        raise fields.place.error("like", str(error)) from None


def _usable_source(start: DeviceSpec, *, said: bool, scaled: bool) -> str:
    if said:
        return "said in devices.toml"
    if not start.usable_source:
        return "all of the memory"
    return f"the same share as of {start.name}" if scaled else start.usable_source


def _source(fields: Fields, start: DeviceSpec) -> str:
    said = fields.text("source") or "not said"
    like = f"; else as {start.name}: {start.source}" if fields.text("like") else ""
    return f"defined by the user in {fields.place.origin}: {said}{like}"


def _further(fields: Fields, device: DeviceSpec) -> DeviceSpec:
    """Return the device with what is said of its kind, link, slot and power."""
    slot = fields.text("pcie", device.pcie)
    if "pcie" in fields.values and pcie_bandwidth(slot) is None:
        raise fields.place.error("pcie", f'{slot[:40]!r} is no slot; write it like "4.0 x16"')
    context = fields.size("context", least=0)
    if context is not None:
        device = replace(
            device, context_bytes=context, context_basis="exact", context_source="said in devices.toml"
        )
    return replace(
        device, vendor=fields.text("vendor", device.vendor),
        category=fields.text("category", device.category or "own"),
        architecture=fields.text("architecture", device.architecture),
        compute_capability=fields.text("compute_capability", device.compute_capability),
        units=fields.whole("units", 10**6, device.units),
        memory_type=fields.text("memory_type", device.memory_type),
        link=fields.text("link", device.link),
        link_bytes_per_second=fields.bandwidth("link_bandwidth", device.link_bytes_per_second),
        pcie=slot, pcie_bytes_per_second=pcie_bandwidth(slot) or device.pcie_bytes_per_second,
        tdp_watts=_watts(fields, "tdp", device.tdp_watts),
        power_watts=_watts(fields, "power", device.power_watts),
        released=fields.whole("released", 9999, device.released),
    )  # fmt: skip


def _watts(fields: Fields, key: str, default: int | None) -> int | None:
    watts = fields.whole(key, MOST_WATTS, default)
    if watts == 0:
        raise fields.place.error(key, f"is to be a whole number of watts from 1 to {MOST_WATTS:,}")
    return watts


def _price(fields: Fields, start: DeviceSpec) -> Price | None:
    amount = fields.number("price", 1e9)
    if amount is None:
        return start.price
    currency = fields.text("currency", "USD")
    return Price(amount, currency, fields.text("price_date"), f"said in {fields.place.origin}")


def _node(fields: Fields, own: Own) -> Node:
    fields.only(_NODE_KEYS)
    name, listed = fields.text("name"), fields.texts("devices")
    if not words_of(name):
        raise fields.place.error("name", "is missing; give the node a name")
    if not listed:
        raise fields.place.error("devices", 'is missing; write it like devices = ["2x RTX 3090"]')
    try:
        made = node_of([device for text in listed for device in parse_devices(text, own)], name)
    except UsageError as error:
        raise fields.place.error("devices", str(error)) from None
    slot = fields.text("pcie")
    if slot and pcie_bandwidth(slot) is None:
        raise fields.place.error("pcie", f'{slot[:40]!r} is no slot; write it like "4.0 x16"')
    return replace(
        made, link=fields.text("link", made.link), aliases=fields.texts("aliases"),
        link_bytes_per_second=fields.bandwidth("link_bandwidth", made.link_bytes_per_second),
        pcie_bytes_per_second=pcie_bandwidth(slot) or made.pcie_bytes_per_second,
        host_memory_bytes=fields.size("host_memory", made.host_memory_bytes, least=0),
        host_bandwidth_bytes_per_second=fields.bandwidth(
            "host_bandwidth", made.host_bandwidth_bytes_per_second
        ),
        host_rates=fields.rates("host_rates", RATE_TYPES),
        source=f"defined by the user in {fields.place.origin}: {fields.text('source') or 'not said'}",
    )  # fmt: skip
