"""Names of AMD's parts from ``amdgpu.ids``, which libdrm installs: amdgpu itself knows few."""

from functools import cache
from pathlib import Path
from typing import Final

IDS: Final = Path("/usr/share/libdrm/amdgpu.ids")
LARGEST: Final = 1 << 20
_FIELDS: Final = 3


@cache
def _names(path: Path) -> dict[tuple[int, int], str]:
    """Return names by PCI device and revision; empty where the file is absent or no such list."""
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST).decode("utf-8", "replace")
    except OSError:
        return {}
    found: dict[tuple[int, int], str] = {}
    for line in text.splitlines():
        fields = [field.strip() for field in line.split(",", _FIELDS - 1)]
        if len(fields) == _FIELDS and not line.startswith("#"):
            device, revision = _hexadecimal(fields[0]), _hexadecimal(fields[1])
            if device is not None and revision is not None:
                found[device, revision] = fields[2][:200]
    return found


def name_of(device: str, revision: str, path: Path = IDS) -> str:
    """Return the name of a part by its PCI device and revision (``0x744c``, ``0xc8``); empty: not known."""
    numbers = _hexadecimal(device), _hexadecimal(revision)
    return "" if None in numbers else _names(path).get((numbers[0] or 0, numbers[1] or 0), "")


def _hexadecimal(text: str) -> int | None:
    digits = text.strip().lower().removeprefix("0x")
    good = 0 < len(digits) <= 8 and all(digit in "0123456789abcdef" for digit in digits)  # noqa: PLR2004 - 32 bits
    return int(digits, 16) if good else None
