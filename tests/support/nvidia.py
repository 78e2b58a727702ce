"""A driver's library to run the real nvidia-ml-py against: the stand-in in C, and what it is to tell."""

import ctypes
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent / "nvml" / "standin.c"
SPEC = "HWLEDGER_NVML_SPEC"
SONAME = "libnvidia-ml.so.1"
MIB = 1 << 20
WORKING = {
    "Utilization.gpu": 37, "Utilization.memory": 12, "DeviceGetTemperature.0": 54, "Field.82": 61,
    "DeviceGetPowerUsage": 71523, "DeviceGetEnforcedPowerLimit": 450000,
    "DeviceGetTotalEnergyConsumption": 123456789, "DeviceGetClockInfo.1": 1980, "DeviceGetClockInfo.2": 2619,
    "DeviceGetMaxClockInfo.1": 3105, "DeviceGetMaxClockInfo.2": 10501,
    "DeviceGetCurrentClocksEventReasons": 0x4, "DeviceGetCurrentClocksThrottleReasons": 0x4,
    "DeviceGetPerformanceState": 2, "DeviceGetFanSpeed": 31, "DeviceGetCurrPcieLinkGeneration": 4,
    "DeviceGetCurrPcieLinkWidth": 8, "DeviceGetMaxPcieLinkGeneration": 5, "DeviceGetMaxPcieLinkWidth": 16,
    "DeviceGetTotalEccErrors": 3,
}  # fmt: skip
"""What a device tells; see ``standin.c`` for the names."""


@dataclass
class Part:
    """A device or a slice, as the stand-in's file describes it; ``memory``: total, reserved, free, used."""

    name: str
    uuid: str = ""
    pci: str = ""
    memory: tuple[int, int, int, int] | None = (24564 * MIB, 400 * MIB, 14164 * MIB, 10000 * MIB)
    values: dict[str, int] = field(default_factory=lambda: dict(WORKING))
    processes: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    slices: tuple["Part", ...] = ()

    def lines(self, word: str = "device") -> list[str]:
        """Return the lines of the file."""
        return [
            f"{word} {self.name}", *([f"uuid {self.uuid}"] * bool(self.uuid)),
            *([f"pci {self.pci}"] * bool(self.pci)),
            *([f"memory {' '.join(map(str, self.memory))}"] if self.memory else []),
            *(f"set {key} {value}" for key, value in self.values.items()),
            *(f"process {each}" for each in self.processes), *self.rules,
            *(line for part in self.slices for line in part.lines("slice")),
        ]  # fmt: skip


def card(index: int = 0, **changes: object) -> Part:
    """Return a device that tells everything."""
    told: dict[str, object] = {
        "name": "NVIDIA GeForce RTX 4090", "uuid": f"GPU-00000000-0000-0000-0000-{index:012d}",
        "pci": f"00000000:{index + 1:02X}:00.0",
    }  # fmt: skip
    return Part(**{**told, **changes})  # type: ignore[arg-type]


def mig_card() -> Part:
    """Return a device in MIG mode with two slices."""
    gib = 1 << 30
    parts = tuple(
        Part(f"NVIDIA H100 80GB HBM3 MIG {size}", f"MIG-0000000{number}-0000", memory=memory, values={},
             processes=(f"compute {4000 + number} {2 * gib} python",))
        for number, (size, memory) in enumerate(
            (("3g.40gb", (40 * gib, 0, 38 * gib, 2 * gib)), ("1g.10gb", (10 * gib, 0, 8 * gib, 2 * gib)))
        )
    )  # fmt: skip
    values = {key: value for key, value in WORKING.items() if not key.startswith("Utilization")}
    return card(name="NVIDIA H100 80GB HBM3", values={**values, "DeviceGetMigMode": 1}, slices=parts)


def gb10() -> Part:
    """Return a part without memory of its own, which knows neither limit, fan nor error correction."""
    lacks = ("DeviceGetEnforcedPowerLimit", "DeviceGetFanSpeed", "DeviceGetTotalEccErrors", "Field.82")
    values = {key: value for key, value in WORKING.items() if key not in lacks}
    return card(name="NVIDIA GB10", pci="0000000F:01:00.0", memory=None, values=values)


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


class Kernel:
    """The files of a machine: all of its processes are seen, nothing sleeps, no Windows around it."""

    def __init__(self, folder: Path) -> None:
        self.procfs, self.sysfs = folder / "proc", folder / "sys"
        self.write(self.procfs / "2" / "comm", "kthreadd")
        self.write(self.procfs / "version", "Linux version 6.8.0")

    def write(self, path: Path, text: str) -> None:
        """Put one file there."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", "utf-8")

    def drives(self, address: str, status: str, control: str = "auto") -> None:
        """Let the kernel's driver hold a device that may sleep."""
        (self.procfs / "driver" / "nvidia" / "gpus" / address).mkdir(parents=True, exist_ok=True)
        power = self.sysfs / "bus" / "pci" / "devices" / address / "power"
        self.write(power / "control", control)
        self.write(power / "runtime_status", status)


@pytest.fixture(scope="session")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Compile the stand-in in its variants; skip, with a word, where that cannot be."""
    return compiled(tmp_path_factory.mktemp("nvml"))


def compiled(folder: Path) -> dict[str, Path]:
    """Compile the stand-in in its variants: ``new``, ``old`` (before 450) and ``wide`` (535.43 to 535.86)."""
    if not sys.platform.startswith("linux"):
        pytest.skip("the stand-in is of Linux's library")
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("there is no C compiler for the stand-in of libnvidia-ml.so.1")
    found = {}
    for name, options in (("new", ()), ("old", ("-DOLD_DRIVER",)), ("wide", ("-DPROCESS_ROWS_32",))):
        found[name] = folder / name / SONAME
        found[name].parent.mkdir()
        command = [compiler, "-O1", "-shared", "-fPIC", *options, "-o", str(found[name]), str(SOURCE)]
        subprocess.run(command, check=True, capture_output=True, text=True)
    return found


class Driver:
    """The stand-in within this process, as if it were the machine's driver.

    Args:
        library: its file.
        spec: the file that it reads.
    """

    def __init__(self, library: Path, spec: Path) -> None:
        self.library = ctypes.CDLL(str(library))
        self.library.standin_calls.restype = ctypes.c_long
        self._spec = spec

    def tells(self, *parts: Part, system: tuple[str, ...] = ()) -> None:
        """Let it tell these devices from now on."""
        lines = [*system, *(line for part in parts for line in part.lines())]
        self._spec.write_text("\n".join(lines) + "\n", "utf-8")
        self.library.standin_reload()

    def unload(self) -> None:
        """Void what was started, as a driver that is reloaded does."""
        self.library.standin_unload()

    def calls(self, call: str = "*") -> int:
        """Return how often a call came since ``forget``."""
        return int(self.library.standin_calls(call.encode()))

    def forget(self) -> None:
        """Count calls from nought."""
        self.library.standin_forget_calls()


def installed(library: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Driver:
    """Put the stand-in in the place of the machine's driver library, for nvidia-ml-py to call."""
    pynvml = pytest.importorskip("pynvml")
    spec = folder / "nvml.spec"
    monkeypatch.setenv(SPEC, str(spec))
    driver = Driver(library, spec)
    driver.unload()
    monkeypatch.setattr(pynvml, "nvmlLib", driver.library)
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    driver.tells()
    driver.forget()
    return driver
