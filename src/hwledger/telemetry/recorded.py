"""What tools and engines printed, read from text: the same readers that the live sources use."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Final

from hwledger.errors import MalformedError
from hwledger.telemetry.snapshot import Sample

LARGEST: Final = 16 << 20
MODULES: Final[tuple[str, ...]] = ("hwledger.telemetry.amd.formats", "hwledger.telemetry.drm.formats")
"""Modules with ``FORMATS``; the most telling formats first."""


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of output that can be read.

    Attributes:
        name: the tool and its form: ``nvidia-smi -q -x``.
        recognises: whether a text is of this kind, by what stands in it; never raises.
        read: returns what it says; never raises: what is not understood is a trouble or an absent value.
    """

    name: str
    recognises: Callable[[str], bool]
    read: Callable[[str], Sample]


@cache
def formats() -> tuple[Format, ...]:
    """Return every kind of output that can be read."""
    return tuple(each for name in MODULES for each in import_module(name).FORMATS)


def read_recorded(text: str, where: str = "the text") -> tuple[Format, Sample]:
    """Return the kind of a recorded output, and what it says.

    Args:
        text: what a tool printed, a page of metrics, a reply or a log.
        where: its name for the sentence.

    Raises:
        MalformedError: no kind that is known.
    """
    for each in formats():
        if each.recognises(text):
            return each, each.read(text)
    known = ", ".join(each.name for each in formats())
    raise MalformedError(f"{where} is no output that is known; known: {known}")
