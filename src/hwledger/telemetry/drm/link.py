"""PCIe links as the kernel and tools state them, and where the link of a card really is."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Final

from hwledger.telemetry.drm.facts import pcie_generations
from hwledger.telemetry.merge import pci_key
from hwledger.telemetry.parsing import number_in, said_nothing
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Basis, Gauge, Reading, Reason
from hwledger.telemetry.system import System

_MEGATRANSFERS_FROM: Final = 1000
_SWITCH: Final = 2
"""Bridges of a switch that is on the card: one to the slot, one to the device."""


def generation_of(gauge: Gauge, quantity: Quantity, text: str) -> Reading:
    """Return the generation of a PCIe link by its rate (``32 GT/s``, MT/s from 1000 on), derived."""
    said = re.sub(r"\s*GT/s.*", "", text.strip()[:80], flags=re.IGNORECASE)
    nothing = said_nothing(said, gauge.source)
    if nothing is not None or said.lower() == "unknown":
        return nothing or gauge.absent(Reason.UNSUPPORTED, "the rate is not known")
    found = number_in(said)
    rate = 0.0 if found is None or found[1] else found[0] / (1000 if found[0] >= _MEGATRANSFERS_FROM else 1)
    known = pcie_generations().get(rate)
    if known is None:
        return gauge.absent(Reason.UNPARSED, f"no rate of PCIe: {said[:40]!r}")
    return replace(gauge(quantity, known), basis=Basis.DERIVED)


def slot_of(system: System, folder: Path, vendor: str) -> Path:
    """Return the folder of what sits in the slot: the card's own switch where it has one, else the card.

    Behind a switch on the card the device itself states a link inside the card (2.5 GT/s, one lane on
    Intel's Arc); the one to the machine is that of the switch's upper bridge.

    Args:
        system: the machine.
        folder: of the device.
        vendor: PCI vendor of the device; bridges of its switch have the same.
    """
    bridges = [each for each in folder.resolve().parents if pci_key(each.name)]
    own = [system.read(each / "vendor") == vendor for each in bridges[:_SWITCH]]
    return bridges[_SWITCH - 1] if len(bridges) > _SWITCH and all(own) else folder
