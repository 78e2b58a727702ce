"""What llama.cpp's server keeps of earlier prompts in the host's memory, by its log.

Since the end of 2025 it saves the cache of a slot before another prompt takes it, up to 8 GiB
(``--cache-ram``); no plan knows how many prompts there were.
Source: llama.cpp ``tools/server/server-task.cpp``, b11549.
"""

import re
from typing import Final

from hwledger.telemetry.engines.llama_log import SOURCE
from hwledger.telemetry.quantity import Unit
from hwledger.telemetry.reading import Absent, Basis, Reading, Reason, Value

_STATE: Final = re.compile(r"cache state: [0-9]{1,9} prompts, ([0-9]{1,9}\.[0-9]{1,6}) MiB ")
_MIB: Final = 1 << 20


def saved_prompts(text: str) -> Reading:
    """Return the bytes of earlier prompts that the last line on them states."""
    found = _STATE.findall(text)
    if not found:
        return Absent(Reason.UNSUPPORTED, "the log tells of no saved prompts", SOURCE)
    return Value(round(float(found[-1]) * _MIB), Unit.BYTES, SOURCE, basis=Basis.LOGGED)
