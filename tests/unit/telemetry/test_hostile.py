"""What fuzzing found in the readers of outputs, and the rule that it goes by."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from outputs import damaged
from texts import TEXTS

from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Basis, Gauge, Value, number_of
from hwledger.telemetry.recorded import formats, read_recorded
from hwledger.telemetry.snapshot import DeviceSnapshot, ProcessSnapshot, Sample
from support.oracle import numbers_in, strangers, values

pytestmark = pytest.mark.requirement("NFR-TEL-HOSTILE")

GAUGE = Gauge("test")
LLAMA = (
    "load_tensors: CUDA0 model buffer size = 12.50 MiB\nload_tensors: CUDA0 model buffer size = 2.00 MiB\n"
)
TABLE = "x: memory breakdown: total free self model context compute\n"
IOREG = """+-o IntelAccelerator  <class IntelAccelerator, id 0x1>
  |   "PerformanceStatistics" = {"vramUsedBytes"=1000,"vramFreeBytes"=24}
"""


def sample(quantity: Quantity, number: float, basis: Basis = Basis.MEASURED) -> Sample:
    """Return a sample of one device with one number."""
    told = {quantity: Gauge("test", basis=basis)(quantity, number)}
    return Sample(devices=(DeviceSnapshot("a", "", "", readings=told),))


def read(name: str, text: str) -> Sample:
    """Return what one reader makes of a text, be it its own or not."""
    return next(each for each in formats() if each.name == name).read(text)


@pytest.mark.parametrize(
    ("quantity", "number", "text", "fair"),
    [
        (Quantity.MEMORY_USED, 5 << 20, "5 MiB", True),
        (Quantity.MEMORY_USED, 5 << 20, "15 MiB", False),
        (Quantity.MEMORY_USED, 5 << 20, "51 MiB", False),
        (Quantity.MEMORY_USED, round(5.3 * 2**20), "5.3", True),
        (Quantity.MEMORY_TOTAL, 12, "5 7", False),
        (Quantity.UTILIZATION, 0.41, "41 %", True),
        (Quantity.UTILIZATION, 0.40, "41 %", False),
        (Quantity.POWER, 0.0, "none", False),
        (Quantity.POWER, 7.0, "\u0667", False),
        (Quantity.POWER, 34.0, "\\u0033\\u0034", True),
    ],
)
def test_the_oracle_tells_what_is_in_a_text(
    quantity: Quantity, number: float, text: str, *, fair: bool
) -> None:
    """A number is fair where the text has it as a whole, times a unit; what is derived always is."""
    assert (not strangers(sample(quantity, number), text)) is fair
    assert not strangers(sample(quantity, number, Basis.DERIVED), text)


def test_processes_are_held_against_the_text_too() -> None:
    """Their numbers and memory count, wherever they stand in a sample."""
    held = (ProcessSnapshot(77, "", GAUGE(Quantity.MEMORY_USED, 6)),)
    found = Sample(devices=(DeviceSnapshot("a", "", "", processes=held),))
    assert strangers(found, "77 6") == []
    assert len(strangers(found, "7 7")) == 2
    assert numbers_in("a1.5e3;2 3,400") == [1.5, 2, 3, 400, 1500, 3400]


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
@pytest.mark.parametrize("zero", ["\u0660", "\uff10"])
def test_digits_of_other_scripts_are_no_numbers(text: str, zero: str) -> None:
    """Python takes them for digits, and no tool prints them: nothing is read from them."""
    other = "".join(chr(ord(zero) + int(sign)) if sign in "0123456789" else sign for sign in text)
    for each in formats():
        assert strangers(each.read(other), other) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nvidia-smi --query-compute-apps", "gpu_uuid, used_gpu_memory [MiB]\nGPU-1, 5 MiB"),
        ("nvidia-smi --query-compute-apps", "process_name, used_gpu_memory [MiB]\npython, 5 MiB"),
        ("nvidia-smi CSV without names", '5, ["a, b", x]'),
        ("nvidia-smi", ""),
        ("nvidia-smi -L", f"GPU {'9' * 5000}: A (UUID: GPU-1)"),
        ("xpu-smi dump", ""),
        ("xpu-smi dump", "\n\n"),
    ],
)
def test_texts_that_once_raised_are_read(name: str, text: str) -> None:
    """Each broke a reader before: a column that is not there, cells in quotes, no line, 5,000 digits."""
    assert isinstance(read(name, text), Sample)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("llama.cpp log", f"{TABLE}x: - A: 25 = 9 + (14 = 13 + 0 + .1) + 2"),
        ("tegrastats", "RAM 2/8MB GR3D_FREQ 63%@[62139.5C"),
        ("tegrastats", "RAM 2/8MB GR3D_FREQ 63% VDD_GPU 189.5"),
        ("ioreg -c IOAccelerator", IOREG.replace("1000", "5.7")),
        ("ioreg -c IOAccelerator", IOREG.replace("1000", "001234567890123456789012")),
    ],
)
def test_a_part_of_a_number_is_no_number(name: str, text: str) -> None:
    """Where a pattern takes less than what stands there, there is no value rather than its beginning."""
    found = read(name, text)
    assert strangers(found, text) == []
    assert not found.engines or all(each.basis is Basis.DERIVED for each in values(found))


def test_digits_beyond_a_pattern_are_not_cut_off() -> None:
    """A number that is longer than a pattern takes is no number, rather than its beginning."""
    text = "srv: initializing, n_slots = 12345678, n_ctx_slot = 4096\n"
    text += "load_tensors: CPU model buffer size = 1 MiB"
    assert strangers(read("llama.cpp log", text), text) == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (LLAMA, Quantity.WEIGHTS_BYTES),
        (IOREG, Quantity.MEMORY_TOTAL),
        ('[{"id": 0, "n_ctx": 64, "is_processing": true}]', Quantity.SLOTS),
        ('[{"id": 0, "n_ctx": 64, "is_processing": true}]', Quantity.REQUESTS_RUNNING),
    ],
)
def test_sums_and_counts_are_marked_as_derived(text: str, name: Quantity) -> None:
    """What is added up or counted stands in no text, and says so."""
    found = read_recorded(text)[1]
    things = [*found.devices, *found.engines, *(m for e in found.engines for m in e.models)]
    told = [thing.readings[name] for thing in things if name in thing.readings]
    assert [each.basis for each in told if isinstance(each, Value)] == [Basis.DERIVED]
    assert all(number_of(each) for each in told)
    assert strangers(found, text) == []


@given(st.randoms(use_true_random=False), st.sampled_from(TEXTS), st.sampled_from(TEXTS))
def test_damaged_outputs_raise_and_invent_nothing(source: Random, text: str, other: str) -> None:
    """Every reader takes every damaged text, and gives no number that it does not hold."""
    broken = damaged(source, text, other)
    for each in formats():
        each.recognises(broken)
        found = each.read(broken)
        assert strangers(found, broken) == []
        assert all(value.source for value in values(found))


@pytest.mark.parametrize("blank", [" ", "\t", "\n", "\r\n"])
def test_thousands_of_blanks_are_read_as_a_few(blank: str) -> None:
    """Patterns that look for the end of a column are not led through each of 20,000 blanks."""
    for text in TEXTS[::7]:
        kind, _ = read_recorded(text)
        again, same = read_recorded(f"{text}{blank * 300}")
        many, much = read_recorded(f"{text}{blank * 20_000}")
        assert many.name == again.name == kind.name
        assert much == same
