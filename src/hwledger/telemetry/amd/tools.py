"""amd-smi and rocm-smi, spawned: for where the Python binding does not load."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from hwledger.telemetry.amd import rocm_text, smi_text
from hwledger.telemetry.amd.coverage import AMD_SMI, ROCM_SMI
from hwledger.telemetry.amd.facts import complaint
from hwledger.telemetry.amd.smi import Tree, device, joined
from hwledger.telemetry.amd.telling import VENDOR
from hwledger.telemetry.coverage import Coverage
from hwledger.telemetry.drm.cards import cards
from hwledger.telemetry.reading import Absent, Gauge, Reason
from hwledger.telemetry.sampler import Pace
from hwledger.telemetry.snapshot import Check, Sample
from hwledger.telemetry.system import System

LEAST_SECONDS: Final = 15.0
_ROCM: Final = Path("/opt/rocm/bin")
_ASK_ROCM: Final = (
    "-i", "--showbus", "--showuniqueid", "--showproductname", "--showdriverversion", "--showmeminfo", "all",
    "-u", "--showmemuse", "-t", "-P", "-M", "-f", "-c", "-p", "--json",
)  # fmt: skip
"""Options that rocm-smi has had since 4.3 (recorded outputs)."""


def sleeping(system: System, source: str) -> Absent | None:
    """Return why AMD's tools are not asked: they open every card, and one that sleeps would wake."""
    found = [card.key for card in cards(system, "amdgpu") if card.asleep]
    if not found:
        return None
    return Absent(
        Reason.UNSUPPORTED, f"not asked, as it would wake what is suspended: {', '.join(found)}", source
    )


class _Tool:
    """A tool that is spawned, at most every 15 s, and its newest sample."""

    name = ""
    vendor = VENDOR
    pace = Pace(least_seconds=LEAST_SECONDS, processes_seconds=LEAST_SECONDS)

    def __init__(self, system: System) -> None:
        self._system = system
        self._asked: float | None = None
        self._newest = Sample()

    def check(self) -> Check:
        """Return whether the tool is there and tells of a device."""
        path = self._program()
        if path is None:
            return self._lacking(
                Absent(Reason.ABSENT_TOOL, f"{self.name} is not installed or not in PATH", self.name)
            )
        waits = sleeping(self._system, self.name)
        if waits is not None:
            return Check(self.name, works=True, found=waits.detail)
        sample = self.sample(processes=True)  # kept for the first that asks
        if sample.failure is not None:
            return self._lacking(sample.failure)
        return Check(self.name, works=True, found=f"{path}, {len(sample.devices)} devices")

    def _lacking(self, why: Absent) -> Check:
        remedy = {
            Reason.ABSENT_TOOL: "install ROCm's tools (amd-smi-lib), or go without: amdgpu tells most of it",
            Reason.NO_PERMISSION: "add this user to the groups render and video",
        }.get(why.reason, "")
        return Check(self.name, works=False, found=why.detail, remedy=remedy, reason=why)

    def _program(self) -> str | None:
        """Return where the tool is; ROCm does not put its folder into ``PATH``."""
        return shutil.which(self.name, path=self._system.environ.get("PATH")) or shutil.which(
            self.name, path=self._system.environ.get("ROCM_PATH", str(_ROCM.parent)) + "/bin"
        )

    def sample(self, *, processes: bool) -> Sample:
        """Return what the tool says; within 15 s what it said."""
        waits = sleeping(self._system, self.name)
        if waits is not None:
            return Sample(troubles=(f"{self.name}: {waits.detail}",), failure=waits)
        now = self._system.clock()
        if self._asked is None or now - self._asked >= LEAST_SECONDS:
            self._asked = now
            self._newest = self._ask(processes=processes)
        return self._newest

    def _ask(self, *, processes: bool) -> Sample:
        raise NotImplementedError

    def _said(self, arguments: Sequence[str], holds: Callable[[str], bool]) -> str | Absent:
        """Return what the tool prints, or why that is of no use."""
        program = self._program() or self.name
        ran = self._system.run([program, *arguments])
        if isinstance(ran, Absent):
            return Absent(ran.reason, ran.detail, self.name)
        if holds(ran.out):
            return ran.out
        printed = (ran.err or ran.out).strip().splitlines()
        last = printed[-1][:200] if printed else "nothing"
        otherwise = Absent(Reason.UNPARSED, f"no JSON, with exit status {ran.code}: {last}", self.name)
        return complaint(f"{ran.out[:10_000]}\n{ran.err[:10_000]}", self.name) or otherwise

    def _failed(self, why: Absent) -> Sample:
        return Sample(troubles=(f"{self.name}: {why.detail}",), failure=why)

    def close(self) -> None:
        """Nothing is held."""


class AmdSmiSampler(_Tool):
    """amd-smi: what does not change once, metrics and processes each time."""

    name = "amd-smi"
    coverage: Coverage = AMD_SMI
    yields_to = frozenset({"amdsmi"})

    def __init__(self, system: System) -> None:
        super().__init__(system)
        self._fixed: list[Tree] | None = None

    def _ask(self, *, processes: bool) -> Sample:
        metric = self._trees("metric")
        absent = isinstance(metric, Absent) and metric.reason is Reason.ABSENT_TOOL
        fixed = self._unchanging() if not absent else []
        if isinstance(metric, Absent) and (absent or isinstance(fixed, Absent)):
            return self._failed(metric)
        said = (fixed, metric, self._trees("process") if processes else [])
        trees = joined(tree for each in said if not isinstance(each, Absent) for tree in each)
        gauge = Gauge(self.name, self._system.clock())
        return Sample(
            devices=tuple(device(tree, gauge, order) for order, tree in enumerate(trees)),
            troubles=tuple(f"{self.name}: {each.detail}" for each in said if isinstance(each, Absent)),
        )

    def _unchanging(self) -> list[Tree] | Absent:
        """Return what does not change while the driver is loaded; it is asked for until it is told once."""
        if self._fixed is None:
            said = self._trees("static")
            if isinstance(said, Absent):
                return said
            self._fixed = said
        return self._fixed

    def _trees(self, what: str) -> list[Tree] | Absent:
        said = self._said((what, "--json"), lambda text: bool(smi_text.trees(text)))
        return said if isinstance(said, Absent) else smi_text.trees(said)


class RocmSmiSampler(_Tool):
    """rocm-smi, which AMD has given up for amd-smi."""

    name = "rocm-smi"
    coverage: Coverage = ROCM_SMI
    yields_to = frozenset({"amdsmi", "amd-smi"})

    def _ask(self, *, processes: bool) -> Sample:
        del processes  # it lists them without the card that they use
        said = self._said(_ASK_ROCM, rocm_text.is_json)
        if isinstance(said, Absent):
            return self._failed(said)
        return rocm_text.read_json(said, self._system.clock())


def amd_smi(system: System) -> AmdSmiSampler:
    """Return the source ``amd-smi``."""
    return AmdSmiSampler(system)


def rocm_smi(system: System) -> RocmSmiSampler:
    """Return the source ``rocm-smi``."""
    return RocmSmiSampler(system)
