"""This machine as a plan's devices."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwledger.app import plan
from hwledger.device.catalogue import find_device
from hwledger.errors import MissingError, UsageError
from hwledger.telemetry import local
from hwledger.telemetry.local import Asked, local_devices, local_words
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Gauge, Reading, Reason
from hwledger.telemetry.snapshot import DeviceSnapshot, HostSnapshot, ProcessSnapshot, Snapshot

pytestmark = pytest.mark.requirement("FR-TEL-LOCAL")
Q = Quantity
GAUGE = Gauge("test")
NOW, IDLE = Asked(idle=False, numbers=frozenset()), Asked(idle=True, numbers=frozenset())
GIB = 1 << 30


def told(values: Mapping[Quantity, int]) -> dict[Quantity, Reading]:
    """Return readings of these values."""
    return {quantity: GAUGE(quantity, value) for quantity, value in values.items()}


def machine(*devices: DeviceSnapshot, total: int = 64 * GIB, left: int = 48 * GIB, **host: int) -> Snapshot:
    """Return a machine with these devices."""
    readings = told(
        {Q.HOST_MEMORY_TOTAL: total, Q.HOST_MEMORY_AVAILABLE: left, **{Q(k): v for k, v in host.items()}}
    )
    return Snapshot(datetime.now(UTC), 1.0, HostSnapshot(readings=readings), devices)


def card(number: int = 0, used: int = 4 * GIB, **more: object) -> DeviceSnapshot:
    """Return an RTX 4090 of which some is used."""
    total, reserved = 24564 << 20, 400 << 20
    readings = told({
        Q.MEMORY_TOTAL: total, Q.MEMORY_USED: used, Q.MEMORY_RESERVED: reserved,
        Q.MEMORY_FREE: total - used - reserved, Q.MEMORY_USABLE: total - reserved,
    })  # fmt: skip
    held = (ProcessSnapshot(41, "/usr/bin/python", GAUGE(Q.MEMORY_USED, used)),)
    given = {"readings": readings, "processes": held, **more}
    return DeviceSnapshot(f"0000:0{number}:00.0", "NVIDIA GeForce RTX 4090", "NVIDIA", index=number, **given)  # type: ignore[arg-type]


def test_what_is_free_now_counts_and_who_holds_the_rest_is_said() -> None:
    """A card in use is planned on what is free; idle, on all but what is reserved."""
    found = local_devices(machine(card()), NOW)
    (device,) = found.devices
    assert (device.name, device.usable_bytes) == (find_device("RTX 4090").name, (24564 - 400 << 20) - 4 * GIB)
    assert device.bandwidth_bytes_per_second
    assert "python 41 4.00 GiB" in found.notes[0]
    idle = local_devices(machine(card()), IDLE)
    assert idle.devices[0].usable_bytes == 24564 - 400 << 20
    assert idle.notes == ()
    assert (found.host_bytes, idle.host_bytes) == (48 * GIB, 64 * GIB)


def test_devices_are_chosen_by_their_numbers() -> None:
    """Numbers are those of the vendor's tools; one that is not there is refused with those that are."""
    both = machine(card(0), card(1, used=0))
    asked = local_words("local 1")
    assert asked is not None
    assert [d.usable_bytes for d in local_devices(both, asked).devices] == [24564 - 400 << 20]
    with pytest.raises(UsageError, match="no device 7; it has 0: NVIDIA"):
        local_devices(both, Asked(idle=False, numbers=frozenset({7})))


def test_the_hosts_memory_is_not_to_be_had_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an accelerator, no plan that does not fit advises to take several of this machine's memory."""
    monkeypatch.setattr(local, "probe", lambda **_: machine(total=24 * GIB, left=23 * GIB))
    local.here.cache_clear()
    made = plan("Qwen/Qwen3-32B", engine="vllm", device="local")
    local.here.cache_clear()
    assert made.fit is not None
    assert made.fit.changes
    assert "devices" not in {change.kind for change in made.fit.changes}


def test_slices_count_instead_of_the_device_that_is_cut() -> None:
    """A device in slices is each of its slices."""
    parent = card()
    part = DeviceSnapshot("MIG-1", "NVIDIA H100 MIG 1g.10gb", "NVIDIA", "mig", index=0, parent=parent.key,
                          readings=told({Q.MEMORY_TOTAL: 10 * GIB, Q.MEMORY_FREE: 9 * GIB}))  # fmt: skip
    found = local_devices(machine(parent, part), NOW)
    assert [device.usable_bytes for device in found.devices] == [9 * GIB]


@pytest.mark.parametrize(("limit", "used", "usable"), [(None, 2 * GIB, None), (100 * GIB, 2 * GIB, 60 * GIB)])
def test_a_mac_is_bound_by_its_limit_and_by_what_is_available(
    limit: int | None, used: int, usable: int | None
) -> None:
    """The wired limit, what the GPU has in use and what the host has left bound a plan together."""
    mac = DeviceSnapshot(
        "Apple-0", "Apple M2 Ultra", "Apple", unified=True, readings=told({Q.MEMORY_USED: used})
    )
    host = {"wired_limit": limit} if limit is not None else {}
    found = local_devices(machine(mac, total=128 * GIB, left=60 * GIB, **host), NOW)
    own = find_device("M2 Ultra 128GB").usable_bytes
    assert found.devices[0].usable_bytes == (usable or min(60 * GIB, own - used))


def test_a_device_without_memory_of_its_own_has_the_hosts() -> None:
    """GB10's driver tells no memory: the host's total is its memory, what is available is free."""
    readings: dict[Quantity, Reading] = {Q.MEMORY_TOTAL: Absent(Reason.UNSUPPORTED)}
    spark = DeviceSnapshot("000f:01:00.0", "NVIDIA GB10", "NVIDIA", unified=True, readings=readings)
    found = local_devices(machine(spark, total=120 * GIB, left=90 * GIB), NOW)
    assert found.devices[0].usable_bytes == 90 * GIB
    assert found.devices[0].unified


def test_of_an_apu_what_it_may_map_counts_and_what_it_has_mapped_is_gone() -> None:
    """The carve-out and the mappable memory are never added up, nor more than the host has left."""
    values = {Q.MEMORY_TOTAL: 512 << 20, Q.SHARED_MEMORY_TOTAL: 96 * GIB, Q.SHARED_MEMORY_USED: 10 * GIB,
              Q.MEMORY_USED: 100 << 20, Q.MEMORY_USABLE: 96 * GIB}  # fmt: skip
    apu = DeviceSnapshot(
        "0000:c4:00.0", "Ryzen AI Max+ 395 128GB", "AMD", unified=True, readings=told(values)
    )
    assert (
        local_devices(machine(apu, total=125 * GIB, left=100 * GIB), NOW).devices[0].usable_bytes == 86 * GIB
    )
    assert (
        local_devices(machine(apu, total=125 * GIB, left=50 * GIB), NOW).devices[0].usable_bytes == 50 * GIB
    )


def test_what_is_not_known_is_left_out_and_said() -> None:
    """A lost device is left out; with nothing else there is no plan; without devices the host counts."""
    lost = DeviceSnapshot(
        "0000:09:00.0", "", "NVIDIA", readings={Q.MEMORY_TOTAL: Absent(Reason.LOST_DEVICE, "gone")}
    )
    found = local_devices(machine(lost, card(1)), NOW)
    assert len(found.devices) == 1
    assert "0000:09:00.0 is left out" in found.notes[0]
    with pytest.raises(MissingError, match="lost device, gone"):
        local_devices(machine(lost), NOW)
    plain = local_devices(machine(host_memory_limit=16 * GIB), NOW)
    assert [device.usable_bytes for device in plain.devices] == [16 * GIB]


@pytest.mark.parametrize(
    ("text", "idle", "numbers"),
    [("local", False, set()), (" LOCAL ", False, set()), ("local idle", True, set()),
     ("local:idle", True, set()), ("local 0 2", False, {0, 2}),
     ("local:0,2", False, {0, 2}), ("local idle 1", True, {1})],
)  # fmt: skip
def test_the_words_of_this_machine(text: str, idle: bool, numbers: set[int]) -> None:  # noqa: FBT001 - a row
    """Each spelling asks what it says."""
    assert local_words(text) == Asked(idle, frozenset(numbers))


def test_a_plan_on_this_machine_says_what_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan is on what is free, knows the host's memory, and says who holds the rest; it looks once."""
    looks: list[object] = []

    def look(**asked: object) -> Snapshot:
        looks.append(asked)
        return machine(card())

    monkeypatch.setattr(local, "probe", look)
    local.here.cache_clear()
    made = plan("Qwen/Qwen3-8B", engine="llama.cpp", weights="Q4_K_M", device="local")
    local.here.cache_clear()
    assert [device.usable_bytes for device in made.request.devices] == [(24564 - 400 << 20) - 4 * GIB]
    assert made.request.node is not None
    assert made.request.node.host_memory_bytes == 48 * GIB
    assert any("python 41 4.00 GiB" in note for note in made.memory.warnings)
    assert len(looks) == 1


@given(st.text(max_size=30))
def test_other_names_are_no_words_of_this_machine(text: str) -> None:
    """Whatever does not begin with the word is another device; nothing raises."""
    if not text.strip().lower().startswith("local"):
        assert local_words(text) is None
    local_words(text)
