"""What NVML's error codes, event bits and device names mean, from ``data/nvml.toml``."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from hwledger.telemetry.reading import Absent, Reason

SOURCE: Final = "NVML"


@dataclass(frozen=True, slots=True)
class Failure:
    """What an error code of NVML means.

    Attributes:
        code: NVML's number.
        reason: why there is no value.
        says: a sentence without a full stop.
        remedy: what to do; empty where nothing is to be done.
    """

    code: int
    reason: Reason
    says: str
    remedy: str = ""

    @property
    def absent(self) -> Absent:
        """The reading in place of a value."""
        return Absent(self.reason, self.says, SOURCE)


@cache
def _tables() -> Mapping[str, list[dict[str, Any]]]:
    return tomllib.loads((files("hwledger.telemetry") / "data" / "nvml.toml").read_text("utf-8"))


@cache
def failure_of(code: int) -> Failure:
    """Return what an error code means; one that is not known is ``unparsed``."""
    for row in _tables()["error"]:
        if row["code"] == code:
            return Failure(code, Reason(row["reason"]), row["says"], row.get("remedy", ""))
    return Failure(code, Reason.UNPARSED, f"the driver answers with error {code}, which is not known")


@cache
def event_words(bits: int) -> tuple[str, ...]:
    """Return what keeps the clocks from their highest, in words; empty: nothing."""
    rows = _tables()["event"]
    rest = bits & ~sum(row["bit"] for row in rows)
    words = [row["word"] for row in rows if bits & row["bit"]]
    return (*words, *([f"unknown event {rest:#x}"] if rest else []))


@cache
def shares_memory(name: str) -> bool:
    """Return whether a device of that name has no memory of its own but the host's."""
    words = name.replace("-", " ").split()
    return any(row["word"] in words for row in _tables()["unified"])
