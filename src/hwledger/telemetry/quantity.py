"""What can be known of devices, engines and the host: names, units and words, in one table.

Everything that draws, exports or documents telemetry goes through this table. Names never change their unit;
units are base units (bytes, seconds, hertz, watts, degrees Celsius, ratios from 0 to 1).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Unit(StrEnum):
    """Units of values."""

    BYTES = "bytes"
    RATIO = "ratio"
    CELSIUS = "celsius"
    WATTS = "watts"
    JOULES = "joules"
    HERTZ = "hertz"
    SECONDS = "seconds"
    BYTES_PER_SECOND = "bytes per second"
    TOKENS = "tokens"
    TOKENS_PER_SECOND = "tokens per second"
    COUNT = "count"
    TEXT = "text"
    WORDS = "words"


class Quantity(StrEnum):
    """Names of what is known; which belong to what: ``DEVICE``, ``ENGINE``, ``HOST``."""

    __hash__ = str.__hash__  # Enum's own is a call of Python's, in each of a thousand look-ups a sweep

    # devices
    MEMORY_TOTAL = "memory_total"
    MEMORY_USED = "memory_used"
    MEMORY_RESERVED = "memory_reserved"
    MEMORY_FREE = "memory_free"
    MEMORY_USABLE = "memory_usable"
    SHARED_MEMORY_TOTAL = "shared_memory_total"
    SHARED_MEMORY_USED = "shared_memory_used"
    UTILIZATION = "utilization"
    MEMORY_ACTIVITY = "memory_activity"
    TEMPERATURE = "temperature"
    TEMPERATURE_HOTSPOT = "temperature_hotspot"
    TEMPERATURE_MEMORY = "temperature_memory"
    FAN = "fan"
    POWER = "power"
    POWER_LIMIT = "power_limit"
    ENERGY = "energy"
    CLOCK = "clock"
    CLOCK_MAX = "clock_max"
    CLOCK_MEMORY = "clock_memory"
    CLOCK_MEMORY_MAX = "clock_memory_max"
    THROTTLE = "throttle"
    PERFORMANCE_STATE = "performance_state"
    PCIE_GENERATION = "pcie_generation"
    PCIE_GENERATION_MAX = "pcie_generation_max"
    PCIE_WIDTH = "pcie_width"
    PCIE_WIDTH_MAX = "pcie_width_max"
    PCIE_RECEIVED = "pcie_received"
    PCIE_SENT = "pcie_sent"
    ERRORS_UNCORRECTED = "errors_uncorrected"
    DRIVER = "driver"
    RUNTIME = "runtime"
    POWER_STATE = "power_state"
    # engines and the models that they hold
    WEIGHTS_BYTES = "weights_bytes"
    MODEL_BYTES = "model_bytes"
    MODEL_DEVICE_BYTES = "model_device_bytes"
    FILE_BYTES = "file_bytes"
    KV_CACHE_BYTES = "kv_cache_bytes"
    STATE_BYTES = "state_bytes"
    KV_CACHE_TOKENS = "kv_cache_tokens"
    KV_CACHE_TOKENS_USED = "kv_cache_tokens_used"
    KV_CACHE_USED = "kv_cache_used"
    KV_CACHE_TYPE = "kv_cache_type"
    COMPUTE_BYTES = "compute_bytes"
    GRAPH_BYTES = "graph_bytes"
    CONTEXT = "context"
    SLOTS = "slots"
    REQUESTS_RUNNING = "requests_running"
    REQUESTS_WAITING = "requests_waiting"
    PROMPT_TOKENS = "prompt_tokens"
    GENERATED_TOKENS = "generated_tokens"
    PREFILL_SPEED = "prefill_speed"
    DECODE_SPEED = "decode_speed"
    PREFIX_CACHE_HITS = "prefix_cache_hits"
    PARAMETERS = "parameters"
    QUANTISATION = "quantisation"
    # the host
    HOST_MEMORY_TOTAL = "host_memory_total"
    HOST_MEMORY_AVAILABLE = "host_memory_available"
    HOST_MEMORY_LIMIT = "host_memory_limit"
    SWAP_TOTAL = "swap_total"
    SWAP_USED = "swap_used"
    CPU_UTILIZATION = "cpu_utilization"
    CPU_POWER = "cpu_power"
    CPU_TEMPERATURE = "cpu_temperature"
    LOAD = "load"
    WIRED_LIMIT = "wired_limit"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a quantity is.

    Attributes:
        unit: its unit.
        label: its name for people, short.
        counts: it only ever grows while its source runs.
        help: what exactly it is, one line.
    """

    unit: Unit
    label: str
    help: str
    counts: bool = False


def _table() -> dict[Quantity, Meaning]:
    q, u = Quantity, Unit
    return {
        q.MEMORY_TOTAL: Meaning(u.BYTES, "total", "memory of the device as its driver reports it"),
        q.MEMORY_USED: Meaning(u.BYTES, "used", "memory that is allocated, without what the driver reserves"),
        q.MEMORY_RESERVED: Meaning(u.BYTES, "reserved", "memory that driver and firmware keep"),
        q.MEMORY_FREE: Meaning(u.BYTES, "free", "memory that can be allocated now"),
        q.MEMORY_USABLE: Meaning(u.BYTES, "usable", "memory that can be allocated when nothing else runs"),
        q.SHARED_MEMORY_TOTAL: Meaning(u.BYTES, "shared", "host memory that the device may map"),
        q.SHARED_MEMORY_USED: Meaning(u.BYTES, "shared used", "host memory that the device has mapped"),
        q.UTILIZATION: Meaning(u.RATIO, "busy", "share of the time in which the device had work"),
        q.MEMORY_ACTIVITY: Meaning(u.RATIO, "memory busy", "share of the time in which memory is in use"),
        q.TEMPERATURE: Meaning(u.CELSIUS, "temperature", "temperature of the chip's edge or core"),
        q.TEMPERATURE_HOTSPOT: Meaning(u.CELSIUS, "hotspot", "temperature of the chip's hottest place"),
        q.TEMPERATURE_MEMORY: Meaning(u.CELSIUS, "memory temperature", "temperature of the memory"),
        q.FAN: Meaning(u.RATIO, "fan", "speed of the fan as a share of its highest"),
        q.POWER: Meaning(u.WATTS, "power", "power that the device draws"),
        q.POWER_LIMIT: Meaning(u.WATTS, "power limit", "power limit that is in force"),
        q.ENERGY: Meaning(u.JOULES, "energy", "energy since the driver was loaded", counts=True),
        q.CLOCK: Meaning(u.HERTZ, "clock", "clock of the compute units"),
        q.CLOCK_MAX: Meaning(u.HERTZ, "clock max", "highest clock of the compute units"),
        q.CLOCK_MEMORY: Meaning(u.HERTZ, "memory clock", "clock of the memory"),
        q.CLOCK_MEMORY_MAX: Meaning(u.HERTZ, "memory clock max", "highest clock of the memory"),
        q.THROTTLE: Meaning(u.WORDS, "throttled by", "what holds the clocks down now; empty: nothing"),
        q.PERFORMANCE_STATE: Meaning(u.TEXT, "state", "performance state"),
        q.PCIE_GENERATION: Meaning(u.COUNT, "PCIe generation", "generation that the link runs at now"),
        q.PCIE_GENERATION_MAX: Meaning(u.COUNT, "PCIe generation max", "highest of device and slot"),
        q.PCIE_WIDTH: Meaning(u.COUNT, "PCIe lanes", "lanes that the link uses now"),
        q.PCIE_WIDTH_MAX: Meaning(u.COUNT, "PCIe lanes max", "most lanes of device and slot"),
        q.PCIE_RECEIVED: Meaning(u.BYTES_PER_SECOND, "PCIe in", "bytes that the device receives"),
        q.PCIE_SENT: Meaning(u.BYTES_PER_SECOND, "PCIe out", "bytes that the device sends"),
        q.ERRORS_UNCORRECTED: Meaning(u.COUNT, "uncorrected errors", "memory errors that were not corrected",
                                      counts=True),
        q.DRIVER: Meaning(u.TEXT, "driver", "version of the driver"),
        q.RUNTIME: Meaning(u.TEXT, "runtime", "highest version of CUDA, ROCm or Level Zero of the driver"),
        q.POWER_STATE: Meaning(u.TEXT, "runtime power", "whether the device is awake or suspended"),
        q.WEIGHTS_BYTES: Meaning(u.BYTES, "weights", "bytes of weights that are loaded"),
        q.MODEL_BYTES: Meaning(u.BYTES, "model", "bytes that the engine states for the loaded model in all"),
        q.MODEL_DEVICE_BYTES: Meaning(u.BYTES, "model on devices", "bytes of the loaded model on devices"),
        q.FILE_BYTES: Meaning(u.BYTES, "files", "bytes of the model's files on disk, loaded or not"),
        q.KV_CACHE_BYTES: Meaning(u.BYTES, "KV cache", "bytes of the KV cache"),
        q.STATE_BYTES: Meaning(u.BYTES, "state", "bytes of recurrent state"),
        q.KV_CACHE_TOKENS: Meaning(u.TOKENS, "KV capacity", "tokens that the KV cache holds"),
        q.KV_CACHE_TOKENS_USED: Meaning(u.TOKENS, "KV tokens", "tokens that are in the KV cache"),
        q.KV_CACHE_USED: Meaning(u.RATIO, "KV used", "share of the KV cache that is in use"),
        q.KV_CACHE_TYPE: Meaning(u.TEXT, "KV type", "number type of the KV cache"),
        q.COMPUTE_BYTES: Meaning(u.BYTES, "compute", "bytes of compute buffers"),
        q.GRAPH_BYTES: Meaning(u.BYTES, "graphs", "bytes of captured graphs"),
        q.CONTEXT: Meaning(u.TOKENS, "context", "most tokens of one request"),
        q.SLOTS: Meaning(u.COUNT, "slots", "requests that run at once at most"),
        q.REQUESTS_RUNNING: Meaning(u.COUNT, "running", "requests that run now"),
        q.REQUESTS_WAITING: Meaning(u.COUNT, "waiting", "requests that wait now"),
        q.PROMPT_TOKENS: Meaning(u.TOKENS, "prompt tokens", "prompt tokens that were processed", counts=True),
        q.GENERATED_TOKENS: Meaning(u.TOKENS, "generated", "tokens that were generated", counts=True),
        q.PREFILL_SPEED: Meaning(u.TOKENS_PER_SECOND, "prefill", "prompt tokens per second"),
        q.DECODE_SPEED: Meaning(u.TOKENS_PER_SECOND, "decode", "generated tokens per second, all requests"),
        q.PREFIX_CACHE_HITS: Meaning(u.RATIO, "prefix hits", "share of prompt tokens found in the cache"),
        q.PARAMETERS: Meaning(u.COUNT, "parameters", "parameters that the engine states"),
        q.QUANTISATION: Meaning(u.TEXT, "quantisation", "number type or quantisation of the weights"),
        q.HOST_MEMORY_TOTAL: Meaning(u.BYTES, "memory", "memory of the host"),
        q.HOST_MEMORY_AVAILABLE: Meaning(u.BYTES, "available", "memory to be had without swapping"),
        q.HOST_MEMORY_LIMIT: Meaning(u.BYTES, "limit", "memory that this container or control group may use"),
        q.SWAP_TOTAL: Meaning(u.BYTES, "swap", "swap space"),
        q.SWAP_USED: Meaning(u.BYTES, "swap used", "swap space in use"),
        q.CPU_UTILIZATION: Meaning(u.RATIO, "CPU", "share of all cores that is busy"),
        q.CPU_POWER: Meaning(u.WATTS, "CPU power", "power that the CPU draws"),
        q.CPU_TEMPERATURE: Meaning(u.CELSIUS, "CPU temperature", "temperature of the CPU"),
        q.LOAD: Meaning(u.COUNT, "load", "processes that run or wait, mean of a minute"),
        q.WIRED_LIMIT: Meaning(u.BYTES, "wired limit", "memory that Apple's GPU may wire, as set by hand"),
    }  # fmt: skip


MEANINGS: Final[Mapping[Quantity, Meaning]] = MappingProxyType(_table())
_ORDER: Final = tuple(Quantity)
DEVICE: Final = _ORDER[: _ORDER.index(Quantity.WEIGHTS_BYTES)]
"""What is known of a device, in the order in which it is shown."""
ENGINE: Final = _ORDER[len(DEVICE) : _ORDER.index(Quantity.HOST_MEMORY_TOTAL)]
"""What is known of an engine or of a model that it holds."""
HOST: Final = _ORDER[len(DEVICE) + len(ENGINE) :]
"""What is known of the host."""
