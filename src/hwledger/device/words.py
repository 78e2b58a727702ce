"""The words of a device's name, in one spelling."""

import re
from functools import lru_cache
from typing import Final

# Words that say nothing that a device's own name does not say: vendors, brands, makers of boards.
_NOISE: Final = frozenset({
    "nvidia", "amd", "ati", "intel", "apple", "google", "aws", "gcp", "azure", "geforce", "tesla", "radeon",
    "instinct", "gpu", "gpus", "card", "graphics", "accelerator", "tensor", "generation", "edition", "series",
    "video", "the", "asus", "msi", "gigabyte", "zotac", "evga", "pny", "palit", "gainward", "inno3d",
    "sapphire", "powercolor", "xfx", "asrock", "galax", "maxsun", "sparkle", "founders", "fe", "oc", "gaming",
    "tuf", "rog", "aorus", "eagle", "ventus", "suprim", "trinity", "nitro", "pulse", "hellhound", "merc",
    "speedster", "ftw3", "ftw", "xc3", "hydro", "virtualized", "dedicated", "vram", "memory", "config", "ms",
    "turbo", "grid",
})  # fmt: skip
_SPELLINGS: Final = (
    (re.compile(r"\bmac\s?book\s?(pro|air|neo)?\b|\bmac (studio|mini|pro)\b|\bi?macs?\b"), " "),
    (re.compile(r"\bftw3? ultra\b"), " "),  # a board of EVGA
    (re.compile(r"\bper gpu\b|\b\d+[ -]?cores? cpu\b"), " "),
    (re.compile(r"\b(\d+)[ -]?cores?\b( gpu)?"), r"\1core "),
    (re.compile(r"(\d+(?:\.\d+)?)\s*g(?:i?b)?\b"), r"\1gb "),  # 80 GB, 80G, 80GiB
    (re.compile(r"\bsxm\d?\b"), "sxm"),
    (re.compile(r"\b(mobile|notebook|max[ -]?q mobile)\b"), "laptop"),
    (re.compile(r"\bmax[ -]q\b"), "maxq"),
    (re.compile(r"\bdatacenter\b"), "data center"),
    (re.compile(r"(\d)\s?ti\s?(super|s)\b"), r"\1 ti super"),  # 4070 TiS
    (re.compile(r"(\d)(ti|super|xtx|xt|gre|d|laptop)\b"), r"\1 \2"),  # 4060Ti
    (re.compile(r"\b(\d{4})m\b"), r"\1 laptop"),  # 4090m
    # RTX4090, TITANRTX, RadeonVII
    (re.compile(r"\b(rtx|gtx|rx|titan|arc|tpu|radeon|quadro|tesla)(?=\d|[abvrw]\d|rtx|vii\b)"), r"\1 "),
    (re.compile(r"\b(m\d)(pro|max|ultra)\b"), r"\1 \2"),  # M3Max
)  # fmt: skip
# Graphics in a processor: 780M, 8060S without a match, Iris Xe. What it has is the system's memory.
INTEGRATED: Final = re.compile(
    r"\b(epyc|xeon|threadripper|snapdragon|celeron|raspberry|core ultra|core i\d|i[3579][ -]\d{4,5}\w*)\b"
    r"|\bryzen (\d|ai \d)\b|\b(radeon )?\d{3}m\b"
    r"|\b80[456]0s\b|\biris\b|\buhd\b|\bvega (3|6|7|8|11)\b|\b1[34]0[tv]\b"
)
_MARKS: Final = re.compile(r"[®™]|\((?:r|tm|c)\)")
# MIG: a slice of computing units and of memory, "3g.40gb".
SLICE: Final = re.compile(r"\b\d{1,2}g\.(\d{1,3}gb)\b")
_SEPARATORS: Final = re.compile(r"[\s_()\[\]/,-]+")


@lru_cache(maxsize=4096)
def words_of(name: str) -> tuple[str, ...]:
    """Return the words of a name in one spelling, vendors and board makers left out."""
    text = _SEPARATORS.sub(" ", _MARKS.sub(" ", name.lower()).replace("+", " "))
    for pattern, better in _SPELLINGS:
        text = pattern.sub(better, text)
    return tuple(word for word in text.split() if word not in _NOISE)
