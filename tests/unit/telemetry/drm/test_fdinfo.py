"""What fdinfo texts say, of any driver."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwledger.telemetry.document import sample_document
from hwledger.telemetry.drm.busy import busy
from hwledger.telemetry.drm.fdinfo import Client, Engine, clients_in, distinct, held
from hwledger.telemetry.drm.formats import read, recognises
from hwledger.telemetry.reading import NOT_TOLD, Absent, Basis, Gauge, Reading, Reason, Value
from hwledger.telemetry.stale import staled

pytestmark = pytest.mark.requirement("FR-TEL-FDINFO")

GAUGE = Gauge("fdinfo")
HEAD = "drm-driver: {}\ndrm-pdev: 0000:03:00.0\ndrm-client-id: {}\n"


def figure(reading: Reading) -> object:
    """Return a value, or the reason why there is none."""
    return reading.value if isinstance(reading, Value) else reading.reason


def one(text: str) -> Client:
    """Return the only client of a text."""
    (client,) = clients_in(text, GAUGE)
    return client


@pytest.mark.parametrize(
    ("line", "region", "figure_of"),
    [
        ("drm-resident-vram0: 24 MiB", "vram0", 24 << 20),
        ("drm-resident-gtt:\t192 KiB", "gtt", 192 << 10),
        ("drm-total-memory: 0", "memory", 0),
        ("drm-total-memory: 77", "memory", 77),
        ("drm-memory-vram:   3 GiB", "vram", 3 << 30),
        ("drm-resident-local0: 16384 kB", "local0", 16 << 20),
        ("drm-resident-stolen-system: 64 KiB", "stolen-system", 64 << 10),
        ("drm-resident-system: bogus", "system", Reason.UNPARSED),
        ("drm-resident-system: -5 KiB", "system", Reason.UNPARSED),
        ("drm-resident-system: 5 parsecs", "system", Reason.UNPARSED),
        ("drm-resident-system:", "system", Reason.UNPARSED),
    ],
)
def test_units_stand_on_each_line(line: str, region: str, figure_of: object) -> None:
    """KiB, MiB, GiB and none, which is bytes; the kernel's kB are 1024; what is no number is a reason."""
    client = one(HEAD.format("xe", 1) + line)
    assert {name: figure(each) for name, each in client.memory.items()} == {region: figure_of}


def test_what_is_there_counts_before_what_was_asked_for() -> None:
    """Resident before amdgpu's old keys before total; shared, active and purgeable are parts of those."""
    text = (
        "drm-total-vram: 9 MiB\ndrm-memory-vram: 5 MiB\ndrm-resident-vram: 4 MiB\ndrm-total-gtt: 3 MiB\n"
        "drm-shared-vram: 1 MiB\ndrm-active-vram: 2 MiB\ndrm-purgeable-vram: 2 MiB\namd-evicted-vram: 8 MiB\n"
    )
    told = {name: figure(each) for name, each in one(HEAD.format("amdgpu", 1) + text).memory.items()}
    assert told == {"vram": 4 << 20, "gtt": 3 << 20}


def test_the_devices_memory_and_the_hosts_are_told_apart() -> None:
    """Regions of the device's own are one figure, the host's another; sums are derived."""
    client = one(HEAD.format("xe", 1) + "drm-resident-vram0: 4\ndrm-resident-vram1: 3\ndrm-resident-gtt: 2\n")
    own, host = held(client)
    assert (figure(own), figure(host)) == (7, 2)
    assert isinstance(own, Value)
    assert isinstance(host, Value)
    assert (own.basis, host.basis) == (Basis.DERIVED, Basis.MEASURED)


def test_a_device_without_memory_of_its_own_works_in_the_hosts() -> None:
    """With no region of the device's own, the host's is what the client holds; no figure comes from half."""
    whole = one(HEAD.format("i915", 1) + "drm-resident-system: 4 KiB\ndrm-resident-stolen-system: 1 KiB\n")
    assert (figure(held(whole)[0]), held(whole)[1]) == (5 << 10, NOT_TOLD)
    half = one(HEAD.format("i915", 1) + "drm-resident-system: 4 KiB\ndrm-resident-stolen-system: ??\n")
    assert figure(held(half)[0]) is Reason.UNPARSED
    none = held(one(HEAD.format("i915", 1)))[0]
    assert isinstance(none, Absent)
    assert none.reason is Reason.UNSUPPORTED


def test_a_client_counts_once() -> None:
    """Duplicated and inherited files show the same client; the same number on another device is another."""
    text = HEAD.format("amdgpu", 7) + "drm-memory-vram: 1 MiB\n"
    other = text.replace("0000:03", "0000:04")
    found = clients_in("".join((text, text, other, text.replace("id: 7", "id: 8"))), GAUGE)
    assert len(found) == 4
    assert [(each.address[5:7], each.number) for each in distinct(found)] == [("03", 7), ("04", 7), ("03", 8)]
    unnamed = Client(address="0000:03:00.0")
    assert len(distinct((unnamed, unnamed))) == 2


def test_headers_name_processes() -> None:
    """Texts of ``head``, ``grep`` and plain ones, one after another, are so many clients."""
    plain = HEAD.format("amdgpu", 1) + "drm-memory-vram: 1 MiB\n"
    headed = f"==> /proc/12/fdinfo/5 <==\n{plain}\n==> /proc/13/fdinfo/9 <==\npos: 0\nflags: 02\n"
    assert [each.pid for each in clients_in(headed, GAUGE)] == [12]
    grepped = "".join(f"/proc/14/fdinfo/3:{line}\n" for line in plain.splitlines())
    grepped += grepped.replace("/14/", "/15/").replace("id: 1", "id: 2")
    assert [(each.pid, each.number) for each in clients_in(grepped, GAUGE)] == [(14, 1), (15, 2)]
    assert [each.pid for each in clients_in(plain + plain, GAUGE)] == [None, None]


def test_processes_of_a_recorded_text_are_added_up() -> None:
    """Two clients of one process are one process, with both figures in it."""
    first = HEAD.format("amdgpu", 1) + "drm-memory-vram: 1 MiB\ndrm-engine-compute: 5 ns\n"
    second = (
        HEAD.format("amdgpu", 2) + "drm-memory-vram: 2 MiB\ndrm-memory-gtt: 4 MiB\ndrm-engine-gfx: 1 ns\n"
    )
    text = f"==> /proc/12/fdinfo/5 <==\n{first}\n==> /proc/12/fdinfo/6 <==\n{second}"
    (device,) = read(text).devices
    assert not isinstance(device.processes, Absent)
    (process,) = device.processes
    assert (process.pid, process.kind, figure(process.memory)) == (12, "compute+graphics", 3 << 20)
    assert figure(process.shared_memory) == 4 << 20


@pytest.mark.parametrize(
    ("driver", "region", "vendor", "kind", "unified"),
    [
        ("amdgpu", "vram", "AMD", "gpu", None), ("i915", "system", "Intel", "gpu", True),
        ("i915", "local0", "Intel", "gpu", False), ("xe", "vram0", "Intel", "gpu", False),
        ("xe", "gtt", "Intel", "gpu", True), ("panfrost", "memory", "Arm", "gpu", True),
        ("amdxdna_accel_driver", "memory", "AMD", "npu", True), ("what", "memory", "", "gpu", None),
    ],
)  # fmt: skip
def test_drivers_tell_whose_device_it_is(
    driver: str, region: str, vendor: str, kind: str, *, unified: bool | None
) -> None:
    """Vendor, kind, and whether it works in the host's memory follow from driver and regions."""
    (device,) = read(HEAD.format(driver, 1) + f"drm-resident-{region}: 4 KiB\n").devices
    assert (device.vendor, device.kind, device.unified) == (vendor, kind, unified)


def test_a_region_that_nobody_knows_is_said() -> None:
    """It is left out of the sums, in a sentence."""
    sample = read(HEAD.format("xe", 1) + "drm-resident-vram0: 1 MiB\ndrm-resident-moon: 5 MiB\n")
    assert sample.troubles == ("fdinfo: the region 'moon' is not known",)


def seconds(number: int, **engines: Engine) -> Client:
    """Return a client with engines."""
    return Client(address="0000:03:00.0", number=number, engines=engines)


def test_nanoseconds_are_held_against_the_time_between_looks() -> None:
    """Shares of clients add up, new ones count from nothing, and none goes beyond the whole."""
    before = (seconds(1, render=Engine(1_000_000_000)), seconds(2, render=Engine(0)))
    after = (seconds(1, render=Engine(1_250_000_000)), seconds(2, render=Engine(500_000_000)))
    assert busy(before, after, 1.0) == {"render": pytest.approx(0.75)}
    assert busy((), (seconds(3, copy=Engine(9_000_000_000)),), 2.0) == {"copy": 1.0}
    assert busy(after, before, 1.0) == {"render": 0.0}
    assert busy(before, after, 0.0) == {}


def test_cycles_are_held_against_the_cycles_that_passed() -> None:
    """Xe counts cycles; engines of which there are several share the time."""
    before = (seconds(1, rcs=Engine(100, 1000), vcs=Engine(0, 1000, 2)),)
    after = (seconds(1, rcs=Engine(400, 2000), vcs=Engine(1000, 2000, 2)),)
    assert busy(before, after, 1.0) == {"rcs": pytest.approx(0.3), "vcs": pytest.approx(0.5)}
    assert busy((), after, 1.0) == {}


def test_engines_are_read_with_their_units() -> None:
    """Nanoseconds, cycles with their total, and capacity; nonsense is nothing."""
    client = one(
        HEAD.format("xe", 1) + "drm-engine-render: 12 ns\ndrm-cycles-rcs: 5\ndrm-total-cycles-rcs: 9\n"
        "drm-engine-capacity-rcs: 2\ndrm-engine-copy: many\ndrm-cycles-gfx: 4\n"
    )
    assert client.engines == {
        "render": Engine(12), "rcs": Engine(5, 9, 2), "copy": Engine(None), "gfx": Engine(None),
    }  # fmt: skip
    assert client.kind == "graphics"


def test_both_memories_are_written_and_turn_stale() -> None:
    """The host's memory of a process stands in the document where it is told, and stays when stale."""
    sample = read(HEAD.format("amdgpu", 1) + "drm-memory-vram: 1 MiB\ndrm-memory-gtt: 4 MiB\n")
    (process,) = sample_document(sample)["devices"][0]["processes"]
    assert (process["memory"]["value"], process["shared_memory"]["value"]) == (1 << 20, 4 << 20)
    (late,) = sample_document(staled(sample, "late"))["devices"][0]["processes"]
    assert (late["shared_memory"]["reason"], late["shared_memory"]["last"]["value"]) == ("stale", 4 << 20)
    plain = read(HEAD.format("i915", 1) + "drm-resident-system: 1 MiB\n")
    assert "shared_memory" not in sample_document(plain)["devices"][0]["processes"][0]


LINES = st.sampled_from(
    ["drm-driver: amdgpu", "drm-pdev: 0000:03:00.0", "drm-client-id: 7", "drm-memory-vram: 5 KiB",
     "drm-resident-gtt: 9", "==> /proc/5/fdinfo/1 <==", "/proc/6/fdinfo/1:drm-client-id: 3", "pos: 0",
     "drm-engine-gfx: 4 ns", "drm-cycles-rcs: 1", "drm-client-id: ²", "drm-resident-vram: 9e9999 KiB"]
)  # fmt: skip


@pytest.mark.requirement("NFR-BAD-INPUT")
@given(st.lists(st.one_of(LINES, st.text(max_size=60)), max_size=30).map("\n".join))
def test_no_text_ends_the_reader(text: str) -> None:
    """Whatever a text holds, it is read or not recognised; every figure is one that can be."""
    recognises(text)
    sample = read(text)
    assert sample.devices or sample.failure is not None
    for device in sample.devices:
        assert not isinstance(device.processes, Absent)
        for process in device.processes:
            value = figure(process.memory)
            assert isinstance(value, Reason) or (isinstance(value, int) and 0 <= value <= 1 << 62)
