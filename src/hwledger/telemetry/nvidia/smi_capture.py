"""A text in which several calls of nvidia-smi follow each other, each behind the command that made it."""

import re
from dataclasses import replace
from typing import Final

from hwledger.telemetry.merge import merged_devices
from hwledger.telemetry.nvidia import smi_csv, smi_table, smi_tree
from hwledger.telemetry.nvidia.fields import CALL, is_several
from hwledger.telemetry.recorded import Format
from hwledger.telemetry.snapshot import DeviceSnapshot, Sample

_FRAME: Final = re.compile(r"^#{20,}\s*$|^# .*$", re.MULTILINE)
_READERS: Final = (*smi_tree.FORMATS, smi_csv.FORMATS[0], smi_csv.FORMATS[1], *smi_table.FORMATS)
"""In the order in which they are believed: the tree tells most, the list least."""


def read_capture(text: str) -> Sample:
    """Return the devices of the last output of each kind: they stand for the newest moment."""
    newest: dict[str, Sample] = {}
    starts = [*CALL.finditer(text)]
    ends = [*(each.start() for each in starts[1:]), len(text)][: len(starts)]
    for call, end in zip(starts, ends, strict=True):
        if "help" in call["words"] or call["words"].strip() in {"-h", "--version"}:
            continue
        output = _FRAME.sub("", text[call.end() : end])
        kind = next((each for each in _READERS if each.recognises(output)), None)
        if kind is not None:
            newest[kind.name] = kind.read(output)
    samples = [newest[kind.name] for kind in _READERS if kind.name in newest]
    troubles = dict.fromkeys(line for sample in samples for line in sample.troubles)
    devices = merged_devices([s for s in samples if any(d.key for d in s.devices)])
    devices = tuple(replace(each, notes=_without_cut(each)) for each in devices)
    said = [] if devices else ["none of the outputs tells of a device"]
    return Sample(devices=devices, troubles=(*troubles, *said))


def _without_cut(device: DeviceSnapshot) -> tuple[str, ...]:
    """Return the notes of a device whose whole name another output tells."""
    return tuple(note for note in device.notes if note != smi_table.CUT or device.name.endswith("..."))


FORMATS: Final = (Format("nvidia-smi, several calls", is_several, read_capture),)
