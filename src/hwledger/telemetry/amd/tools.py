"""amd-smi and rocm-smi, spawned: for where the Python binding does not load."""

import shutil
from pathlib import Path
from types import MappingProxyType
from typing import Final

from hwledger.telemetry.amd import rocm_text, smi_text
from hwledger.telemetry.amd.coverage import AMD_SMI, ROCM_SMI
from hwledger.telemetry.amd.facts import complaint
from hwledger.telemetry.amd.smi import Tree, device, joined
from hwledger.telemetry.amd.telling import VENDOR
from hwledger.telemetry.coverage import Coverage
from hwledger.telemetry.reading import Absent, Gauge, Reason
from hwledger.telemetry.snapshot import Sample
from hwledger.telemetry.system import System
from hwledger.telemetry.tool import Tool

_ROCM: Final = Path("/opt/rocm/bin")
_ASK_ROCM: Final = (
    "-i", "--showbus", "--showuniqueid", "--showproductname", "--showdriverversion", "--showmeminfo", "all",
    "-u", "--showmemuse", "-t", "-P", "-M", "-f", "-c", "-p", "--json",
)  # fmt: skip
"""Options that rocm-smi has had since 4.3 (recorded outputs)."""
DRIVERS: Final = frozenset({"amdgpu"})


class _Tool(Tool):
    """A tool of ROCm's."""

    vendor = VENDOR
    drivers = DRIVERS
    remedies = MappingProxyType(
        {
            Reason.ABSENT_TOOL: "install ROCm's tools (amd-smi-lib), or go without: amdgpu tells most of it",
            Reason.NO_PERMISSION: "add this user to the groups render and video",
        }
    )

    def _program(self) -> str | None:
        """Return where the tool is; ROCm does not put its folder into ``PATH``."""
        return super()._program() or shutil.which(
            self.name, path=self._system.environ.get("ROCM_PATH", str(_ROCM.parent)) + "/bin"
        )

    def _complaint(self, text: str) -> Absent | None:
        return complaint(text, self.name)


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
