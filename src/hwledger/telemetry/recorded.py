"""What tools and engines printed, read from text: the same readers that the live sources use."""

import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from pathlib import Path
from textwrap import dedent
from typing import BinaryIO, Final

from hwledger.errors import InputError, MalformedError, MissingError
from hwledger.telemetry.merge import merged_devices, merged_host
from hwledger.telemetry.snapshot import Check, Sample, Snapshot

LARGEST: Final = 16 << 20
MODULES: Final[tuple[str, ...]] = (
    "hwledger.telemetry.nvidia.smi_capture",
    "hwledger.telemetry.nvidia.smi_tree",
    "hwledger.telemetry.nvidia.smi_csv",
    "hwledger.telemetry.nvidia.smi_table",
    "hwledger.telemetry.nvidia.smi_dmon",
    "hwledger.telemetry.nvidia.tegrastats",
    "hwledger.telemetry.nvidia.smi_errors",
    "hwledger.telemetry.nvidia.exporters",
    "hwledger.telemetry.apple.macmon",
    "hwledger.telemetry.apple.macmon_page",
    "hwledger.telemetry.apple.ioreg",
    "hwledger.telemetry.apple.powermetrics",
    "hwledger.telemetry.apple.system_profiler",
    "hwledger.telemetry.intel.xpu_smi",
    "hwledger.telemetry.intel.gpu_top",
    "hwledger.telemetry.intel.vram_mm",
    "hwledger.telemetry.nvtop",
    "hwledger.telemetry.tailscale",
    "hwledger.telemetry.engines.formats",
    "hwledger.telemetry.amd.formats",
    "hwledger.telemetry.drm.formats",
)
"""Modules with ``FORMATS``; the most telling formats first."""
_DEEPEST: Final = 8
"""Quotations within quotations are read so far."""
_QUOTED: Final = re.compile(r"^> ?", re.MULTILINE)
_MOST_BLANKS: Final = 256
_BLANKS: Final = re.compile(rf"\s{{{_MOST_BLANKS + 1},}}")
"""More blanks in a row than tools print; patterns that look for the end of a column try each of them."""


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
    plain = unquoted(_BLANKS.sub(_fewer, text))
    for each in formats():
        if each.recognises(plain):
            return each, each.read(plain)
    known = ", ".join(each.name for each in formats())
    raise MalformedError(f"{where} is no output that is known; known: {known}")


def _fewer(blanks: re.Match[str]) -> str:
    return ("\n" if "\n" in blanks[0] else " ") * _MOST_BLANKS


def unquoted(text: str) -> str:
    """Return a text without the marks of a quotation and without the margin that all its lines have."""
    for _ in range(_DEEPEST):
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) > 1 and all(line.startswith(">") for line in lines):
            text = _QUOTED.sub("", text)
        elif len(lines) > 1 and all(line[0] in " \t" for line in lines):
            text = dedent(text)
        else:
            break
    return text


def read_text(path: Path) -> str:
    """Return the text of a recorded output.

    Raises:
        MissingError: there is no such file.
        MalformedError: it is larger than 16 MiB, or no text.
        InputError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return decoded(file, str(path))
    except FileNotFoundError:
        raise MissingError(f"{path}: there is no such file") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None


def decoded(file: BinaryIO, where: str) -> str:
    """Return what a file holds as text: UTF-8, or UTF-16 as PowerShell redirects it.

    Raises:
        MalformedError: it is larger than 16 MiB, or no text.
    """
    raw = file.read(LARGEST + 1)
    if len(raw) > LARGEST:
        raise MalformedError(f"{where}: more than {LARGEST >> 20} MiB; no tool prints that much at once")
    wide = raw.startswith((BOM_UTF16_LE, BOM_UTF16_BE))
    text = raw.decode("utf-16", "replace") if wide else raw.removeprefix(BOM_UTF8).decode("utf-8", "replace")
    if "\0" in text:
        raise MalformedError(f"{where} is no text")
    return text


def recorded_snapshot(kind: Format, sample: Sample) -> Snapshot:
    """Return what a recorded output says as a snapshot whose only source is that output; ages are unknown."""
    failed = sample.failure
    found = (failed.detail or str(failed.reason)) if failed else "read from what was printed"
    check = Check(kind.name, works=failed is None, found=found, reason=failed)
    return Snapshot(
        time=datetime.now(UTC), at=0.0, host=merged_host([sample]), devices=merged_devices([sample]),
        engines=sample.engines, checks=(check,), troubles=sample.troubles, peers=sample.peers,
    )  # fmt: skip
