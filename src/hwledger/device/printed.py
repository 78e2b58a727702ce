"""Names as tools print them: ``nvidia-smi -L``, ``lspci``, ``rocminfo``, and the start of llama.cpp.

A line of a tool is a product's name with a number before it and facts behind it. Where it names a chip and
no product (``gfx1100``, ``[0xe211]``), every product with that chip is meant.
"""

import csv
import re
from functools import cache
from typing import Final

from hwledger.shipped import shipped_text

_NUMBERED: Final = re.compile(
    r"^\s*(?:ggml_\w+: *)?(?:(?:GPU|Device|CUDA|ROCm|HIP|Vulkan|SYCL|MTL|Metal) ?#?\d{1,3}"
    r"|\d{1,3}(?= ?[:=] [A-Z]))\s*[:=]\s*",
    re.IGNORECASE,
)
_BEHIND: Final = re.compile(
    r"\s*(?:,? *\(?(?:UUID|compute capability|VMM|Wave Size|rev)\b.*|[(,] *\d{1,9} ?[MG]i?B\b[^()]*\bfree\b.*"
    r"| \| (?:uma|fp16|bf16|warp size|shared memory)\b.*)$",
    re.IGNORECASE,
)
_DRIVER: Final = re.compile(
    r"\(\s*(?:(?:RADV|AMDVLK|NVK|ANV|radeonsi)\b,?\s*([\w ]{0,40})[^()]*|(gfx\w{3,9})[^()]*|nvgpu)\)",
    re.IGNORECASE,
)
_ON_THE_BUS: Final = re.compile(
    r"^(?:[0-9a-f]{2,4}[0-9a-f:.]{3,12}\s+)?(?:VGA compatible|3D|Display) controller(?: \[\w+\])?: *(.*)$",
    re.IGNORECASE,
)
_BRACKETS: Final = re.compile(r"\[([^\[\]]{2,100})\]")
_NO_PRODUCT: Final = re.compile(r"(?:AMD/ATI|[0-9a-f]{4}:[0-9a-f]{4})", re.IGNORECASE)
_GENERIC: Final = re.compile(r"(?:AMD |Intel(?:\(R\))? )?(?:Radeon )?Graphics\s*", re.IGNORECASE)
_CHIP: Final = re.compile(r"\b(gfx\d[\da-f]{2,4}|0x[\da-f]{4})\b", re.IGNORECASE)
_SHARE: Final = re.compile(r"\b([A-Z]{1,3}\d{1,4}[A-Z]?)D?-(\d{1,3})[QCBA]\b")


def plain_names(text: str) -> str:
    """Return ``text`` with the names of products alone in those of its lines that a tool printed."""
    return "\n".join(_plain(line) for line in text.split("\n"))


def _plain(line: str) -> str:
    if found := _ON_THE_BUS.match(line.strip()):
        return _on_the_bus(found[1])
    name = _BEHIND.sub("", _NUMBERED.sub("", line)) if _NUMBERED.match(line) or _BEHIND.search(line) else line
    chip = _CHIP.search(name)
    bare = _DRIVER.sub("", name).strip()
    if chip and _GENERIC.fullmatch(_CHIP.sub("", bare).strip("[]() ") + " "):
        return chip[1].lower()
    return _SHARE.sub(_shared, bare) if bare else name


def _shared(found: re.Match[str]) -> str:
    """``A40-48Q``: a share of a card, which is the card where it is all of its memory."""
    return f"{found[1].removesuffix('D')} {found[2]}GB"


def _on_the_bus(name: str) -> str:
    """What a line of ``lspci`` says behind the kind of device: the product in brackets, else all of it."""
    told = [each for each in _BRACKETS.findall(name) if not _NO_PRODUCT.fullmatch(each)]
    return told[-1] if told else _BEHIND.sub("", name)


@cache
def products_of(chip: str) -> tuple[str, ...]:
    """Return the names of the products that have a chip; empty where it is not known."""
    text = shipped_text("hwledger.device", "data/chips.csv")
    for row in csv.DictReader(text.splitlines()):
        if row["chip"] == chip.strip().lower():
            return tuple(row["devices"].split(";"))
    return ()
