"""Names of PCI devices from ``pci.ids``, which distributions install for ``lspci``."""

import re
from functools import cache
from pathlib import Path
from typing import Final

IDS: Final = (Path("/usr/share/hwdata/pci.ids"), Path("/usr/share/misc/pci.ids"))
LARGEST: Final = 8 << 20
_DEVICE: Final = re.compile(r"^\t([0-9a-f]{4})  (.{1,200})$", re.MULTILINE)
_MARKETED: Final = re.compile(r"[^\[]*\[(?P<name>[^\]]+)\]\s*")


@cache
def _names(vendor: str, paths: tuple[Path, ...]) -> dict[str, str]:
    """Return names by PCI device of one vendor; empty where there is no list."""
    for path in paths:
        try:
            with path.open("rb") as file:
                text = file.read(LARGEST).decode("utf-8", "replace")
        except OSError:
            continue
        block = re.search(rf"^{vendor}  .*\n(?P<devices>(?:[\t#].*\n|\n)*)", text, re.MULTILINE)
        return dict(_DEVICE.findall(block["devices"])) if block else {}
    return {}


def name_of(vendor: str, device: str, paths: tuple[Path, ...] = IDS) -> str:
    """Return the name of a part by PCI vendor and device (``0x8086``, ``0x56a0``); empty: not known.

    Where the list has the chip's name with the product's in brackets, the product's is meant.
    """
    numbers = [text.strip().lower().removeprefix("0x") for text in (vendor, device)]
    if not all(re.fullmatch(r"[0-9a-f]{4}", number) for number in numbers):
        return ""
    name = _names(numbers[0], paths).get(numbers[1], "").strip()
    marketed = _MARKETED.fullmatch(name)
    return marketed["name"].strip() if marketed else name
