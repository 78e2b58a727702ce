"""Which vendors' devices are here, and what that makes of sources that do not work."""

from pathlib import Path

import pytest

from hwledger.screens.telemetry import check_rows, idle_words
from hwledger.telemetry.collector import Collector
from hwledger.telemetry.present import vendors_here
from hwledger.telemetry.reading import Absent, Reason
from hwledger.telemetry.snapshot import Check
from hwledger.telemetry.system import System
from support.kernel import machine, written
from support.samplers import FakeSampler

pytestmark = pytest.mark.requirement("FR-TEL-PROBE")


def on_pci(root: Path, address: str, vendor: str, kind: str) -> None:
    """Put a device on the bus."""
    written(root / "sys" / "bus" / "pci" / "devices" / address, {"vendor": vendor, "class": kind})


def test_accelerators_on_the_bus_and_loaded_drivers_tell(tmp_path: Path) -> None:
    """Display controllers and accelerators count, a network card does not; a loaded driver does."""
    here = machine(tmp_path)
    assert vendors_here(here) == frozenset()
    on_pci(tmp_path, "0000:01:00.0", "0x10de\n", "0x030200\n")
    on_pci(tmp_path, "0000:02:00.0", "0x1002\n", "0x120000\n")
    on_pci(tmp_path, "0000:03:00.0", "0x8086\n", "0x020000\n")
    assert vendors_here(here) == {"NVIDIA", "AMD"}
    (tmp_path / "sys" / "module" / "xe").mkdir(parents=True)
    assert vendors_here(here) == {"NVIDIA", "AMD", "Intel"}


def test_where_it_cannot_be_known_it_is_not_said(tmp_path: Path) -> None:
    """Windows, with and without Linux in it, shows no bus; a Mac has Apple's."""
    written(tmp_path, {"proc/version": "Linux version 6.6.87.2-microsoft-standard-WSL2\n"})
    assert vendors_here(machine(tmp_path)) is None
    assert vendors_here(System(platform="win32")) is None
    assert vendors_here(System(platform="darwin")) == {"Apple"}


@pytest.mark.parametrize(
    ("vendor", "works", "here"), [("AMD", False, False), ("Fake", False, None), ("AMD", True, True)]
)
def test_a_source_knows_whether_it_is_needed(
    vendor: str, *, works: bool, here: bool | None, tmp_path: Path
) -> None:
    """Sources of a vendor without devices are not; others, and those that work, are not asked about."""
    source = FakeSampler(works=works)
    source.vendor = vendor
    with Collector([source], system=machine(tmp_path)) as collector:
        assert collector.wait(30)
        assert [check.here for check in collector.snapshot().checks] == [here]


def failing(name: str, reason: Reason, *, here: bool | None) -> Check:
    """Return the check of a source that does not work."""
    return Check(name, works=False, found="why", remedy="what", reason=Absent(reason), here=here)


def test_what_is_not_needed_stands_apart_from_what_fails() -> None:
    """A tool that is absent without a device is no failure; rights, silence and nonsense always are."""
    checks = (
        Check("a", works=True, found="good", here=True),
        failing("b", Reason.ABSENT_TOOL, here=False),
        failing("c", Reason.ABSENT_TOOL, here=True),
        failing("d", Reason.NO_PERMISSION, here=False),
        failing("e", Reason.UNSUPPORTED, here=None),
        Check("f", works=False, found="not asked: a tells the same"),
    )
    assert [row[:2] for row in check_rows(checks)] == [
        ("a", "yes"), ("c", "no"), ("d", "no"), ("e", "no"), ("f", "–"),
    ]  # fmt: skip
    assert idle_words(checks).endswith(": b")
    assert idle_words(checks[:1]) == ""
