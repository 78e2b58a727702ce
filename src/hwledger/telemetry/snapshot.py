"""What was seen at one moment: devices with their processes, engines with their models, and the host."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import NOT_TOLD, Absent, Reading, Readings

NOTHING: Readings = MappingProxyType({})


def _nothing() -> Readings:
    return NOTHING


@dataclass(frozen=True, slots=True)
class ProcessSnapshot:
    """One process on a device.

    Attributes:
        pid: its number; ``None`` where the source hides it.
        name: name or command; empty where it is not known.
        memory: bytes that it holds on the device.
        kind: ``compute``, ``graphics`` or both, as far as the source tells; else empty.
        shared_memory: bytes of the host's memory that the device has mapped for it.
    """

    pid: int | None
    name: str
    memory: Reading
    kind: str = ""
    shared_memory: Reading = NOT_TOLD


@dataclass(frozen=True, slots=True)
class DeviceSnapshot:
    """One device at one moment.

    Attributes:
        key: what tells it from all others, the same for every source: its PCI address
            (``0000:01:00.0``), else its UUID, else the vendor and a number.
        name: as the driver calls it; empty where it does not.
        vendor: ``NVIDIA``, ``AMD``, ``Apple``, ``Intel`` or what the source says.
        kind: ``gpu``, ``apu``, ``npu``, ``mig`` (a slice of a device) or ``partition``.
        index: number that the vendor's tools give it; ``None`` where they give none.
        uuid: its UUID; empty where it is not known.
        parent: key of the device that this one is a slice of; empty for whole devices.
        unified: its memory is the host's; ``None`` where it is not known.
        readings: what is known; ask by ``device["memory_used"]``, which answers for every quantity.
        processes: what runs on it, or why that is not known.
        notes: sentences about what the source says that must not be taken at its word.
    """

    key: str
    name: str
    vendor: str
    kind: str = "gpu"
    index: int | None = None
    uuid: str = ""
    parent: str = ""
    unified: bool | None = None
    readings: Readings = field(default_factory=_nothing)
    processes: tuple[ProcessSnapshot, ...] | Absent = NOT_TOLD
    notes: tuple[str, ...] = ()

    def __getitem__(self, quantity: str) -> Reading:
        return self.readings.get(Quantity(quantity), NOT_TOLD)


@dataclass(frozen=True, slots=True)
class ModelSnapshot:
    """One model that an engine holds or lists.

    Attributes:
        name: as the engine calls it.
        loaded: it is in memory; ``None`` where the engine does not say.
        readings: what is known of it.
        devices: readings per device where the engine's log tells them apart, by the engine's own name
            of the device (``CUDA0``, ``CPU``).
    """

    name: str
    loaded: bool | None = None
    readings: Readings = field(default_factory=_nothing)
    devices: Mapping[str, Readings] = field(default_factory=lambda: MappingProxyType({}))

    def __getitem__(self, quantity: str) -> Reading:
        return self.readings.get(Quantity(quantity), NOT_TOLD)


@dataclass(frozen=True, slots=True)
class EngineSnapshot:
    """One inference engine at one moment.

    Attributes:
        engine: ``vllm``, ``sglang``, ``tgi``, ``llama.cpp``, ``ollama``, ``lmstudio``, ``mistral.rs``
            or ``mlx``.
        version: as it says; empty where it does not.
        address: where it answers; empty for a log.
        pid: its process on this machine; ``None`` where it is not known.
        models: what it holds.
        readings: what is known of the engine as a whole.
        notes: sentences about what it says that must not be taken at its word.
    """

    engine: str
    version: str = ""
    address: str = ""
    pid: int | None = None
    models: tuple[ModelSnapshot, ...] = ()
    readings: Readings = field(default_factory=_nothing)
    notes: tuple[str, ...] = ()

    def __getitem__(self, quantity: str) -> Reading:
        return self.readings.get(Quantity(quantity), NOT_TOLD)


@dataclass(frozen=True, slots=True)
class HostSnapshot:
    """The host at one moment.

    Attributes:
        name: of the processor; empty where it is not known.
        system: operating system and version.
        readings: what is known of it.
    """

    name: str = ""
    system: str = ""
    readings: Readings = field(default_factory=_nothing)

    def __getitem__(self, quantity: str) -> Reading:
        return self.readings.get(Quantity(quantity), NOT_TOLD)


@dataclass(frozen=True, slots=True)
class Check:
    """Whether a source works here.

    Attributes:
        source: its name.
        works: it does.
        found: what it found, or why it does not work, a sentence without a full stop.
        remedy: what to do; empty where nothing is to be done.
        reason: why it does not work; ``None`` where it does, and where a better source tells the same.
        here: what it would tell of is in this machine; ``None`` where that is not known.
    """

    source: str
    works: bool
    found: str
    remedy: str = ""
    reason: Absent | None = None
    here: bool | None = None


@dataclass(frozen=True, slots=True)
class Peer:
    """Another machine that a network tells of, or this one in its eyes.

    Attributes:
        name: its own name.
        domain: its name in the network.
        addresses: its addresses there.
        online: it can be reached; ``None`` where that is not told.
        system: its operating system.
        own: it is this machine.
    """

    name: str
    domain: str = ""
    addresses: tuple[str, ...] = ()
    online: bool | None = None
    system: str = ""
    own: bool = False


@dataclass(frozen=True, slots=True)
class Sample:
    """What one source saw at one moment.

    Attributes:
        devices: each with what this source knows of it.
        engines: likewise.
        host: likewise; ``None`` where it does not look at the host.
        troubles: sentences: what could not be read, of what, and why.
        failure: why the source tells nothing at all; ``None`` where it tells something.
        peers: machines of a network that the source tells of.
    """

    devices: tuple[DeviceSnapshot, ...] = ()
    engines: tuple[EngineSnapshot, ...] = ()
    host: HostSnapshot | None = None
    troubles: tuple[str, ...] = ()
    failure: Absent | None = None
    peers: tuple[Peer, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that was seen of a machine at one moment.

    Attributes:
        time: when, in UTC.
        at: the same moment on the monotonic clock that ``Value.at`` is read from.
        host: the host.
        devices: whole devices first to last, each followed by its slices.
        engines: engines by address.
        checks: whether each source works.
        troubles: sentences: what could not be read, of what, and why.
        peers: machines of a network that a source tells of.
    """

    time: datetime
    at: float
    host: HostSnapshot
    devices: tuple[DeviceSnapshot, ...] = ()
    engines: tuple[EngineSnapshot, ...] = ()
    checks: tuple[Check, ...] = ()
    troubles: tuple[str, ...] = ()
    peers: tuple[Peer, ...] = ()
