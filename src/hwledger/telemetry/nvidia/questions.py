"""What a device is asked, how often, and how NVML's answers become readings."""

from collections.abc import Callable, Iterable
from ctypes import byref
from typing import Any, Final

from hwledger.telemetry.nvidia.binding import NO_FUNCTION, OTHER_VERSION, UNSUPPORTED, Binding
from hwledger.telemetry.nvidia.facts import SOURCE, event_words
from hwledger.telemetry.parsing import LIMITS, checked
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Gauge, Reading, Reason

Way = Callable[[Any], Any]
Found = dict[Quantity, Reading]
Read = Callable[[Gauge, Any, Found], None]
NOT_AVAILABLE: Final = frozenset({(1 << 32) - 1, (1 << 64) - 1})
"""NVML's numbers for "no value" (``NVML_VALUE_NOT_AVAILABLE``), by width."""
NO_STATE: Final = 32
"""``NVML_PSTATE_UNKNOWN``."""
MEMORY: Final = (
    Quantity.MEMORY_TOTAL, Quantity.MEMORY_USED, Quantity.MEMORY_RESERVED, Quantity.MEMORY_FREE
)  # fmt: skip
OLD_RESERVED: Final = Absent(Reason.UNSUPPORTED, "the driver tells it since version 510 only", SOURCE)
"""The reading of reserved memory where only version 1 of the call is known: used holds it there."""
MILLI: Final = 1e-3
MEGA: Final = 1e6
PERCENT: Final = 1e-2


class Question:
    """One call, in the versions in which drivers know it; a version that a driver lacks is not tried again.

    Args:
        binding: the door to NVML.
        tells: the quantities that its answer holds.
        ways: the versions of the call, the newest first; ``None`` for one that nvidia-ml-py lacks.
        read: enters a reading of each quantity.
    """

    __slots__ = ("_errors", "_failure", "_ways", "read", "tells")

    def __init__(
        self, binding: Binding, tells: tuple[Quantity, ...], ways: Iterable[Way | None], read: Read
    ) -> None:
        self.tells = tells
        self.read = read
        self._ways = [way for way in ways if way is not None]
        self._errors = binding.errors
        self._failure = binding.failure

    def put(self, handle: Any) -> Any:
        """Return the driver's answer.

        Raises:
            Exception: one of the binding's ``errors``: what the last version that the driver knows says.
        """
        ways = self._ways
        while len(ways) > 1:
            try:
                return ways[0](handle)
            except self._errors as error:
                code = self._failure(error).code
                if code in {NO_FUNCTION, OTHER_VERSION}:
                    del ways[0]
                elif code == UNSUPPORTED:
                    break
                else:
                    raise
        return ways[-1](handle)


def number(quantity: Quantity, factor: float = 1) -> Read:
    """Return the reader of one number that comes in units of ``factor``.

    Parts are divided, so that 41 % is 0.41.
    """
    parts = round(1 / factor) if factor < 1 else 0

    def read(gauge: Gauge, answer: Any, found: Found) -> None:
        value = answer / parts if parts else answer * factor
        found[quantity] = _number(gauge, quantity, value, answer)

    return read


def _number(gauge: Gauge, quantity: Quantity, value: Any, raw: Any) -> Reading:
    """Return a number in base units; what can be needs no further look."""
    if raw in NOT_AVAILABLE:
        return gauge.absent(Reason.UNSUPPORTED, "the driver says that it is not available")
    least, most, whole = LIMITS[quantity]
    if least <= value <= most and (not whole or type(value) is int):
        return gauge(quantity, value)
    return checked(gauge, quantity, value)


def _memory(gauge: Gauge, told: Any, found: Found) -> None:
    """Enter total, used, reserved and free; a total of nothing is no answer."""
    total = told.total
    if not total:
        none = gauge.absent(Reason.UNSUPPORTED, "the driver tells a total of nothing")
        found.update(dict.fromkeys(MEMORY, none))
        return
    for quantity, raw in zip(
        MEMORY, (total, told.used, getattr(told, "reserved", None), told.free), strict=True
    ):
        found[quantity] = OLD_RESERVED if raw is None else _number(gauge, quantity, raw, raw)


def _heat(gauge: Gauge, degrees: Any, found: Found) -> None:
    """Enter the temperature of the memory; parts without a sensor say 0."""
    found[Quantity.TEMPERATURE_MEMORY] = (
        _number(gauge, Quantity.TEMPERATURE_MEMORY, degrees, degrees)
        if degrees
        else gauge.absent(Reason.UNSUPPORTED, "it says 0 °C: no sensor")
    )


def _busy(gauge: Gauge, told: Any, found: Found) -> None:
    for quantity, raw in ((Quantity.UTILIZATION, told.gpu), (Quantity.MEMORY_ACTIVITY, told.memory)):
        found[quantity] = _number(gauge, quantity, raw / 100, raw)


def _throttle(gauge: Gauge, bits: Any, found: Found) -> None:
    found[Quantity.THROTTLE] = gauge(Quantity.THROTTLE, event_words(bits))


def _state(gauge: Gauge, state: Any, found: Found) -> None:
    known = 0 <= state < NO_STATE
    found[Quantity.PERFORMANCE_STATE] = (
        gauge(Quantity.PERFORMANCE_STATE, f"P{state}")
        if known
        else gauge.absent(Reason.UNSUPPORTED, "the driver does not know it")
    )


def memory_question(binding: Binding) -> Question:
    """Return the question of memory: version 2 tells what is reserved apart, version 1 counts it as used."""
    nvml = binding.nvml
    version = nvml.nvmlMemory_v2
    ways = (lambda handle: nvml.nvmlDeviceGetMemoryInfo(handle, version), nvml.nvmlDeviceGetMemoryInfo)
    return Question(binding, MEMORY, ways, _memory)


def busy_question(binding: Binding) -> Question:
    """Return the question of utilisation."""
    tells = (Quantity.UTILIZATION, Quantity.MEMORY_ACTIVITY)
    return Question(binding, tells, (binding.nvml.nvmlDeviceGetUtilizationRates,), _busy)


def quick_questions(binding: Binding) -> tuple[Question, ...]:
    """Return what a whole device is asked with every sweep."""
    q, nvml = Quantity, binding.nvml

    def one(quantity: Quantity, call: str, factor: float = 1, *arguments: int, old: str = "") -> Question:
        ways = (_call(nvml, call, *arguments), _call(nvml, old, *arguments))
        return Question(binding, (quantity,), ways, number(quantity, factor))

    sm, memory, gpu = nvml.NVML_CLOCK_SM, nvml.NVML_CLOCK_MEM, nvml.NVML_TEMPERATURE_GPU
    events = (
        _call(nvml, "nvmlDeviceGetCurrentClocksEventReasons"),
        _call(nvml, "nvmlDeviceGetCurrentClocksThrottleReasons"),
    )
    heat = (lambda handle: _field(binding, handle, nvml.NVML_FI_DEV_MEMORY_TEMP),)
    return (
        memory_question(binding),
        busy_question(binding),
        one(q.TEMPERATURE, "nvmlDeviceGetTemperatureV", 1, gpu, old="nvmlDeviceGetTemperature"),
        Question(binding, (q.TEMPERATURE_MEMORY,), heat, _heat),
        one(q.POWER, "nvmlDeviceGetPowerUsage", MILLI),
        one(q.POWER_LIMIT, "nvmlDeviceGetEnforcedPowerLimit", MILLI),
        one(q.ENERGY, "nvmlDeviceGetTotalEnergyConsumption", MILLI),
        one(q.CLOCK, "nvmlDeviceGetClockInfo", MEGA, sm),
        one(q.CLOCK_MEMORY, "nvmlDeviceGetClockInfo", MEGA, memory),
        Question(binding, (q.THROTTLE,), events, _throttle),
        Question(binding, (q.PERFORMANCE_STATE,), (nvml.nvmlDeviceGetPerformanceState,), _state),
    )


def slow_questions(binding: Binding) -> tuple[Question, ...]:
    """Return what a whole device is asked with each look at the processes: dear, or seldom of another answer.

    A fan costs a driver 137 µs, ten times the memory (MangoHud issue 2104, driver 610.57). Errors are those
    since the driver was loaded.
    """
    q, nvml = Quantity, binding.nvml
    kind, since = nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC
    asked: tuple[tuple[Quantity, Way | None, float], ...] = (
        (q.FAN, _call(nvml, "nvmlDeviceGetFanSpeed"), PERCENT),
        (q.PCIE_GENERATION, _call(nvml, "nvmlDeviceGetCurrPcieLinkGeneration"), 1),
        (q.PCIE_WIDTH, _call(nvml, "nvmlDeviceGetCurrPcieLinkWidth"), 1),
        (q.ERRORS_UNCORRECTED, _call(nvml, "nvmlDeviceGetTotalEccErrors", kind, since), 1),
    )
    return tuple(Question(binding, (name,), (way,), number(name, factor)) for name, way, factor in asked)


def fixed_questions(binding: Binding) -> tuple[Question, ...]:
    """Return what a whole device is asked once, for it does not change while the driver is loaded."""
    q, nvml = Quantity, binding.nvml
    asked: tuple[tuple[Quantity, Way | None, float], ...] = (
        (q.CLOCK_MAX, _call(nvml, "nvmlDeviceGetMaxClockInfo", nvml.NVML_CLOCK_SM), MEGA),
        (q.CLOCK_MEMORY_MAX, _call(nvml, "nvmlDeviceGetMaxClockInfo", nvml.NVML_CLOCK_MEM), MEGA),
        (q.PCIE_GENERATION_MAX, _call(nvml, "nvmlDeviceGetMaxPcieLinkGeneration"), 1),
        (q.PCIE_WIDTH_MAX, _call(nvml, "nvmlDeviceGetMaxPcieLinkWidth"), 1),
    )
    return tuple(Question(binding, (name,), (way,), number(name, factor)) for name, way, factor in asked)


def driver_questions(binding: Binding) -> tuple[Question, ...]:
    """Return what the driver is asked once about itself; the handle does not matter."""
    q, nvml = Quantity, binding.nvml
    cuda = ("nvmlSystemGetCudaDriverVersion_v2", "nvmlSystemGetCudaDriverVersion")
    ways = tuple(_bare(nvml, name) for name in cuda)
    return (
        Question(binding, (q.DRIVER,), (_bare(nvml, "nvmlSystemGetDriverVersion"),), _driver),
        Question(binding, (q.RUNTIME,), ways, _cuda),
    )


def pci_address(binding: Binding) -> Question:
    """Return the question of the PCI address; its answer is NVML's text of it."""
    nvml = binding.nvml

    def old(handle: Any) -> str:
        info = nvml.nvmlPciInfo_v2_t()
        binding.check(binding.function("nvmlDeviceGetPciInfo_v2")(handle, byref(info)))
        return str(info.busId)

    return Question(
        binding, (), (lambda handle: str(nvml.nvmlDeviceGetPciInfo_v3(handle).busId), old), lambda *_: None
    )


def _driver(gauge: Gauge, told: Any, found: Found) -> None:
    found[Quantity.DRIVER] = gauge(Quantity.DRIVER, str(told))


def _cuda(gauge: Gauge, told: Any, found: Found) -> None:
    """Enter the version of CUDA: 13010 is 13.1 (``nvml.h`` ``NVML_CUDA_DRIVER_VERSION_MAJOR``)."""
    found[Quantity.RUNTIME] = gauge(Quantity.RUNTIME, f"CUDA {told // 1000}.{told % 1000 // 10}")


def _call(nvml: Any, name: str, *arguments: int) -> Way | None:
    function = getattr(nvml, name, None)
    if function is None or not arguments:
        return function
    if len(arguments) == 1:
        argument = arguments[0]
        return lambda handle: function(handle, argument)
    return lambda handle: function(handle, *arguments)


def _bare(nvml: Any, name: str) -> Way | None:
    function = getattr(nvml, name, None)
    return None if function is None else lambda _: function()


def _field(binding: Binding, handle: Any, field: int) -> int:
    """Return one of NVML's numbered fields that are whole numbers."""
    value = binding.nvml.nvmlDeviceGetFieldValues(handle, ((field, 0),))[0]
    binding.check(value.nvmlReturn)
    return int(value.value.uiVal)
