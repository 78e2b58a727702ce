"""The table of what NVML's codes, bits and names mean; and that no answer of a driver breaks anything."""

import math
import re
import tomllib
from importlib.resources import files

import pynvml
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwledger.telemetry.nvidia.facts import event_words, failure_of, shares_memory
from hwledger.telemetry.nvidia.nvml import NvmlSampler
from hwledger.telemetry.parsing import LIMITS
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Reason, Value
from support.nvidia import WORKING, Driver, card, mig_card

pytestmark = pytest.mark.requirement("FR-TEL-NVML")
TABLE = tomllib.loads((files("hwledger.telemetry") / "data" / "nvml.toml").read_text("utf-8"))
NOT_OF_READING = {"ALREADY_INITIALIZED", "INSUFFICIENT_SIZE", "IN_USE", "INSUFFICIENT_RESOURCES",
                  "FREQ_NOT_SUPPORTED", "RESET_TYPE_NOT_SUPPORTED"}  # fmt: skip
"""Errors that no call of this source is answered with."""


def test_every_error_that_reading_can_meet_has_a_meaning() -> None:
    """Proves that the table knows the codes of nvidia-ml-py, each with a source."""
    codes = {
        name.removeprefix("NVML_ERROR_"): code
        for name, code in vars(pynvml).items()
        if re.fullmatch(r"NVML_ERROR_[A-Z_0-9]+", name) and isinstance(code, int)
    }
    known = {row["code"] for row in TABLE["error"]}
    assert {name for name, code in codes.items() if code not in known} <= NOT_OF_READING
    assert all(row["source"] and row["says"] and Reason(row["reason"]) for row in TABLE["error"])
    assert failure_of(12345).reason is Reason.UNPARSED


def test_every_event_has_a_word() -> None:
    """Proves that the table knows the bits of nvidia-ml-py under both of their names, each by its word."""
    name = re.compile(r"nvmlClocks(Event|Throttle)Reason(?!All|None)\w+")
    bits = {bit for each, bit in vars(pynvml).items() if name.fullmatch(each)}
    assert bits
    assert bits <= {row["bit"] for row in TABLE["event"]}
    words = [event_words(bit) for bit in sorted(bits)]
    assert len(set(words)) == len(words)
    assert all(len(each) == 1 for each in words)


@pytest.mark.parametrize("name", ["NVIDIA GeForce RTX 4090", "NVIDIA GB200", "NVIDIA GH200 480GB", ""])
def test_a_part_with_memory_of_its_own_is_not_taken_for_another(name: str) -> None:
    """Proves that names are compared by whole words."""
    assert not shares_memory(name)


numbers = st.one_of(
    st.integers(0, (1 << 64) - 1), st.sampled_from([0, 1, 99, 100, 101, (1 << 32) - 1, (1 << 64) - 1])
)
rules = st.builds("fail {} {}".format, st.sampled_from(["*", *WORKING]), st.integers(0, 40))


answers = st.fixed_dictionaries({
    "values": st.fixed_dictionaries(dict.fromkeys(WORKING, numbers)),
    "memory": st.tuples(numbers, numbers, numbers, numbers),
    "rules": st.lists(rules, max_size=3).map(tuple),
    "processes": st.lists(numbers.map("compute 3 {} x".format), max_size=2).map(tuple),
})  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(
    told=answers,
    system=st.sampled_from(["", "init 3", "fail DeviceGetCount 7", "fail SystemGetDriverVersion 999"]),
)
def test_whatever_a_driver_answers_is_a_value_that_can_be_or_a_reason(
    told: dict[str, object], system: str, nvml: NvmlSampler, driver: Driver
) -> None:
    """Proves that no number and no error of a driver raises, and that no value is beyond what can be."""
    driver.tells(card(**told), mig_card(), system=(system,))
    for processes in (True, False):
        for device in nvml.sample(processes=processes).devices:
            held = device.processes if isinstance(device.processes, tuple) else ()
            for quantity, reading in (
                *device.readings.items(), *((Quantity.MEMORY_USED, each.memory) for each in held)
            ):  # fmt: skip
                if isinstance(reading, Value) and isinstance(reading.value, int | float):
                    least, most, _ = LIMITS[quantity]
                    assert least <= reading.value <= most
                    assert math.isfinite(reading.value)
    nvml.close()
