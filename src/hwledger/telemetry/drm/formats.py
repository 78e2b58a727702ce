"""Recorded fdinfo texts of any driver."""

import re
from typing import Final

from hwledger.telemetry.drm.clients import as_processes
from hwledger.telemetry.drm.facts import Driver, drivers, place_of
from hwledger.telemetry.drm.fdinfo import MOST_CLIENTS, SOURCE, Client, clients_in, distinct
from hwledger.telemetry.merge import pci_key
from hwledger.telemetry.reading import Absent, Gauge, Reason
from hwledger.telemetry.recorded import Format
from hwledger.telemetry.snapshot import DeviceSnapshot, Sample

_KEY: Final = re.compile(r"^(?:/proc/[0-9]{1,10}/fdinfo/[0-9]+:)?drm-[a-z]+(?:-[\w-]+)?:[ \t]", re.MULTILINE)


def recognises(text: str) -> bool:
    """Return whether a text holds lines of fdinfo."""
    return _KEY.search(text) is not None


def read(text: str) -> Sample:
    """Return the devices that fdinfo texts name, with the clients that they show."""
    every = clients_in(text, Gauge(SOURCE))
    found = distinct(every)
    groups: dict[tuple[str, str], list[Client]] = {}
    for client in found:
        groups.setdefault((client.driver, client.address), []).append(client)
    troubles = [line for client in found for line in client.troubles]
    unknown = {region for client in found for region in client.memory if place_of(region) == "unknown"}
    troubles += [f"fdinfo: the region {region[:40]!r} is not known" for region in sorted(unknown)]
    if len(every) >= MOST_CLIENTS:
        troubles.append(f"fdinfo: only the first {MOST_CLIENTS} clients are read")
    if not groups:
        nothing = Absent(Reason.UNPARSED, "it names no client of a graphics device", SOURCE)
        return Sample(troubles=(f"fdinfo: {nothing.detail}",), failure=nothing)
    devices = tuple(_device(number, each) for number, each in enumerate(groups.values()))
    return Sample(devices=devices, troubles=tuple(troubles))


def _device(number: int, clients: list[Client]) -> DeviceSnapshot:
    first = clients[0]
    driver = drivers().get(first.driver, Driver(""))
    return DeviceSnapshot(
        key=pci_key(first.address) or first.address or f"{driver.vendor or 'DRM'}-{number}",
        name="", vendor=driver.vendor, kind=driver.kind, unified=unified(driver, clients),
        processes=as_processes(clients, {}),
    )  # fmt: skip


def unified(driver: Driver, clients: list[Client]) -> bool | None:
    """Return whether a device works in the host's memory, by its driver and the regions of its clients."""
    regions = {region for client in clients for region in client.memory}
    if driver.unified is not None or not driver.regions_tell or not regions:
        return driver.unified
    return not any(place_of(region) == "own" for region in regions)


FORMATS: Final = (Format("fdinfo", recognises, read),)
