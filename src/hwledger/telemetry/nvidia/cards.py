"""The devices that one start of the driver's library shows: handles, and what does not change."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from hwledger.telemetry.merge import pci_key
from hwledger.telemetry.nvidia.asleep import driven_addresses, sleeps, status_file
from hwledger.telemetry.nvidia.binding import LOST, UNINITIALISED, Binding
from hwledger.telemetry.nvidia.facts import Failure, shares_memory
from hwledger.telemetry.nvidia.questions import Question, driver_questions, fixed_questions, pci_address
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Gauge, Reading, Reason
from hwledger.telemetry.system import System

GUEST: Final = 2
"""``NVML_GPU_VIRTUALIZATION_MODE_VGPU``: the device is a share of one, inside a virtual machine."""
GUEST_NOTE: Final = "a virtual GPU: its figures are those of its share of the device"


class DriverGoneError(Exception):
    """The driver was unloaded or reloaded, or tells no devices at all: every handle is void."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.says)
        self.failure = failure


@dataclass(slots=True)
class Card:
    """A device or a slice of one, as long as the driver is loaded.

    Attributes:
        key: as ``DeviceSnapshot.key``; likewise ``name``, ``uuid``, ``index`` and ``parent``.
        handle: NVML's; ``None`` where none can be had.
        why: why there is no handle.
        fixed: readings that do not change.
        slow: readings that are taken with each look at the processes.
        status: the file that says whether it sleeps; ``None`` where it never does.
        virtual: a share of a device inside a virtual machine.
        shared: its name is that of a part without memory of its own.
        sliced: it is in MIG mode.
        can_slice: it knows MIG at all.
    """

    key: str
    index: int
    handle: Any = None
    name: str = ""
    uuid: str = ""
    parent: str = ""
    why: Failure | None = None
    fixed: dict[Quantity, Reading] = field(default_factory=dict)
    slow: dict[Quantity, Reading] = field(default_factory=dict)
    status: Path | None = None
    virtual: bool = False
    shared: bool = False
    sliced: bool = False
    can_slice: bool = True


class Cards:
    """Finds the devices of a started driver and keeps their handles.

    Args:
        binding: the door to NVML, started.
        system: where the kernel says which devices sleep.
        gauge: makes the readings that do not change.
    """

    def __init__(self, binding: Binding, system: System, gauge: Gauge) -> None:
        self._binding = binding
        self._system = system
        self._gauge = gauge
        self._fixed = fixed_questions(binding)
        self._address = pci_address(binding)
        self.driver = answered(binding, driver_questions(binding), None, gauge)
        self.count = self._count()
        self.whole = [self._card(index, asleep) for index, asleep in self._indices()]
        self.slices: list[Card] = []
        self.look()

    def __iter__(self) -> Iterator[Card]:
        """Whole devices first to last, each followed by its slices."""
        for card in self.whole:
            yield card
            yield from (each for each in self.slices if each.parent == card.key)

    def changed(self) -> bool:
        """Return whether devices came or went since; costs one call."""
        return self._count() != self.count

    def look(self) -> None:
        """Look for slices: they come and go while the driver is loaded."""
        known = {card.uuid: card for card in self.slices}
        awake = [c for c in self.whole if c.handle is not None and not sleeps(self._system, c.status)]
        resting = {c.key for c in self.whole} - {c.key for c in awake}
        kept = [card for card in self.slices if card.parent in resting]
        found = (part for card in awake if self._slicing(card) for part in self._parts(card, known))
        self.slices = [*kept, *found]

    def _count(self) -> int:
        try:
            return int(self._binding.nvml.nvmlDeviceGetCount())
        except self._binding.errors as error:
            raise DriverGoneError(self._binding.failure(error)) from error

    def _indices(self) -> Iterable[tuple[int, str]]:
        """Return the numbers of the devices, each with its address where it sleeps.

        The driver numbers devices by their addresses. Where it shows another number of them than the kernel
        and one sleeps, none is asked: the wrong handle would wake it.
        """
        addresses = driven_addresses(self._system)
        asleep = {a for a in addresses if sleeps(self._system, status_file(self._system, a))}
        if asleep and len(addresses) != self.count:
            return [(index, address) for index, address in enumerate(addresses) if address in asleep]
        return [
            (index, addresses[index] if asleep and addresses[index] in asleep else "")
            for index in range(self.count)
        ]

    def _card(self, index: int, asleep: str) -> Card:
        if asleep:
            return Card(asleep, index, status=status_file(self._system, asleep), fixed=self.driver)
        handle = self._asked(self._binding.nvml.nvmlDeviceGetHandleByIndex, index)
        if isinstance(handle, Failure):
            return Card(f"NVIDIA-{index}", index, why=handle, fixed=self.driver)
        name, uuid = self._text("nvmlDeviceGetName", handle), self._text("nvmlDeviceGetUUID", handle)
        address = self._asked(self._address.put, handle)
        key = None if isinstance(address, Failure) else pci_key(address)
        status = status_file(self._system, key) if key else None
        mode = self._asked(self._binding.nvml.nvmlDeviceGetVirtualizationMode, handle)
        return Card(
            key or uuid or f"NVIDIA-{index}", index, handle, name, uuid, status=status, virtual=mode == GUEST,
            shared=shares_memory(name),
            fixed=self.driver | answered(self._binding, self._fixed, handle, self._gauge),
        )  # fmt: skip

    def _slicing(self, card: Card) -> bool:
        """Return whether a device is in MIG mode; one that knows no MIG is asked once."""
        if card.can_slice:
            mode = self._asked(self._binding.nvml.nvmlDeviceGetMigMode, card.handle)
            card.can_slice = not (isinstance(mode, Failure) and mode.reason is Reason.UNSUPPORTED)
            card.sliced = not isinstance(mode, Failure) and mode[0] == 1
        return card.sliced

    def _parts(self, card: Card, known: dict[str, Card]) -> Iterator[Card]:
        nvml = self._binding.nvml
        most = self._asked(nvml.nvmlDeviceGetMaxMigDeviceCount, card.handle)
        for index in range(0 if isinstance(most, Failure) else most):
            handle = self._asked(nvml.nvmlDeviceGetMigDeviceHandleByIndex, card.handle, index)
            if isinstance(handle, Failure):
                continue
            uuid = self._text("nvmlDeviceGetUUID", handle)
            part = known.get(uuid) if uuid else None
            if part is None:
                key, name = uuid or f"{card.key}/mig{index}", self._text("nvmlDeviceGetName", handle)
                part = Card(key, index, name=name, uuid=uuid, parent=card.key, fixed=self.driver)
            part.handle = handle
            yield part

    def _asked(self, call: Any, *arguments: Any) -> Any:
        """Return what a call says, or why it says nothing."""
        try:
            return call(*arguments)
        except self._binding.errors as error:
            return self._binding.failure(error)

    def _text(self, call: str, handle: Any) -> str:
        told = self._asked(getattr(self._binding.nvml, call), handle)
        return "" if isinstance(told, Failure) else str(told)


def answered(
    binding: Binding, questions: Iterable[Question], handle: Any, gauge: Gauge
) -> dict[Quantity, Reading]:
    """Return what a device answers; of one that is lost, nothing more is asked.

    Raises:
        DriverGoneError: every handle is void.
    """
    found: dict[Quantity, Reading] = {}
    lost: Absent | None = None
    for question in questions:
        if lost is not None:
            found.update(dict.fromkeys(question.tells, lost))
            continue
        try:
            question.read(gauge, question.put(handle), found)
        except binding.errors as error:
            why = binding.failure(error)
            if why.code == UNINITIALISED:
                raise DriverGoneError(why) from error
            lost = why.absent if why.code in LOST else None
            found.update(dict.fromkeys(question.tells, why.absent))
    return found
