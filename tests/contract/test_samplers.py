"""What every source of telemetry keeps to, on a machine that may have nothing of what it looks for."""

import json
from pathlib import Path

import pytest

from hwledger.telemetry.coverage import Setting
from hwledger.telemetry.document import sample_document
from hwledger.telemetry.quantity import DEVICE, ENGINE, HOST, MEANINGS, Quantity, Unit
from hwledger.telemetry.reading import Absent, Reading, Reason, Value
from hwledger.telemetry.sampler import Sampler
from hwledger.telemetry.samplers import installed_samplers
from hwledger.telemetry.snapshot import Sample
from hwledger.telemetry.system import Ran, System
from support.samplers import FakeSampler

pytestmark = [
    pytest.mark.requirement("FR-TEL-SOURCES"),
    pytest.mark.enable_socket,  # engines are looked for on loopback
]


def nothing_installed(command: list[str], limit_s: float = 0) -> Ran | Absent:
    """Answer for every tool that it is not there."""
    del limit_s
    return Absent(Reason.ABSENT_TOOL, f"{command[0]} is not installed", command[0])


def empty_machine(folder: Path) -> System:
    """Return a machine without devices, tools and kernel files."""
    return System(sysfs=folder / "sys", procfs=folder / "proc", run=nothing_installed, environ={})


@pytest.fixture(params=["fake", *(sampler.name for sampler in installed_samplers())])
def sampler(request: pytest.FixtureRequest, tmp_path: Path) -> Sampler:
    """Return one source on an empty machine."""
    if request.param == "fake":
        return FakeSampler()
    return installed_samplers(empty_machine(tmp_path), frozenset({request.param}))[0]


class TestSampler:
    """The contract of the port."""

    def test_it_declares_what_it_is(self, sampler: Sampler) -> None:
        """A source has a name, a vendor, a pace and a declaration that names quantities and reasons."""
        assert isinstance(sampler, Sampler)
        assert sampler.name
        assert sampler.vendor
        assert sampler.pace.least_seconds >= 0
        assert sampler.name not in sampler.yields_to
        assert sampler.coverage.gives <= set(Quantity)
        for setting in Setting:
            for quantity in sampler.coverage.gives:
                reason = sampler.coverage.cell(quantity, setting)
                assert reason is None or isinstance(reason, Reason)

    def test_it_says_whether_it_works_and_what_to_do(self, sampler: Sampler) -> None:
        """The check never raises; one that fails has a reason, a sentence and a remedy."""
        check = sampler.check()
        assert check.source == sampler.name
        assert check.found
        assert check.works or (check.reason is not None and check.remedy)

    @pytest.mark.parametrize("processes", [True, False])
    def test_it_gives_a_sample_whatever_there_is(self, sampler: Sampler, *, processes: bool) -> None:
        """A sample never raises; every value has the unit of its quantity, a source, and is declared."""
        sample = sampler.sample(processes=processes)
        for quantity, reading in every_reading(sample):
            if isinstance(reading, Value):
                assert reading.unit is MEANINGS[quantity].unit
                assert reading.source
                assert quantity in sampler.coverage.gives
                textual = reading.unit in {Unit.TEXT, Unit.WORDS}
                assert isinstance(reading.value, str | tuple) == textual
        json.dumps(sample_document(sample))
        sampler.close()


def every_reading(sample: Sample) -> list[tuple[Quantity, Reading]]:
    """Return every reading of a sample, after holding each to where it belongs."""
    found: list[tuple[Quantity, Reading]] = []
    for belongs, things in (
        (DEVICE, sample.devices),
        (ENGINE, sample.engines),
        (ENGINE, [model for engine in sample.engines for model in engine.models]),
        (HOST, [sample.host] if sample.host else []),
    ):
        for thing in things:
            assert set(thing.readings) <= set(belongs)
            found += thing.readings.items()
    return found
