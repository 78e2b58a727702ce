"""What a PCIe slot carries."""

import re
from typing import Final

# Bytes per second, lane and direction: transfers per second less the line code (8b/10b, then 128b/130b,
# then 242 of 256 bytes of a flit); PCI Express base specification 6.0, section 4.2.
_PER_LANE: Final = {
    1: 2.5e9 * 8 / 10 / 8, 2: 5e9 * 8 / 10 / 8, 3: 8e9 * 128 / 130 / 8, 4: 16e9 * 128 / 130 / 8,
    5: 32e9 * 128 / 130 / 8, 6: 64e9 * 242 / 256 / 8,
}  # fmt: skip
_SLOT: Final = re.compile(r"(?:pcie|gen)?\s*([1-6])(?:\.0)?\s*x\s*(1|2|4|8|16)", re.IGNORECASE)


def pcie_bandwidth(slot: str) -> int | None:
    """Return bytes per second and direction of a slot like ``4.0 x16``; ``None`` where it is none."""
    match = _SLOT.fullmatch(slot.strip())
    return round(_PER_LANE[int(match[1])] * int(match[2])) if match else None
