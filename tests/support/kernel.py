"""Trees as the kernel's ``/sys`` and ``/proc``, for sources that read them."""

from collections.abc import Mapping
from pathlib import Path

from hwledger.telemetry.system import System

CLIENT = "drm-driver:\t{driver}\ndrm-pdev:\t{address}\ndrm-client-id:\t{number}\n{rest}"


def written(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files below a folder, by their path, and return the folder."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def machine(root: Path, **others: object) -> System:
    """Return a machine whose ``/sys`` and ``/proc`` are folders of that one."""
    for name in ("sys", "proc"):
        (root / name).mkdir(exist_ok=True)
    return System(sysfs=root / "sys", procfs=root / "proc", platform="linux", **others)  # type: ignore[arg-type]


def card(
    root: Path,
    number: int,
    files: Mapping[str, str | bytes],
    address: str = "0000:03:00.0",
    driver: str = "amdgpu",
) -> Path:
    """Write one card with its identity, and return the folder of its device."""
    identity = {
        "uevent": f"DRIVER={driver}\nPCI_CLASS=30000\nPCI_ID=1002:744C\nPCI_SLOT_NAME={address}\n",
        "vendor": "0x1002\n", "device": "0x744c\n", "revision": "0xc8\n", "power/runtime_status": "active\n",
    }  # fmt: skip
    return written(root / "sys" / "class" / "drm" / f"card{number}" / "device", {**identity, **files})


def process(root: Path, pid: int, name: str, opened: Mapping[int, tuple[str, str]]) -> Path:
    """Write a process with its open files: what each leads to, and its fdinfo."""
    folder = written(root / "proc" / str(pid), {"comm": f"{name}\n"})
    for kind in ("fd", "fdinfo"):
        (folder / kind).mkdir(exist_ok=True)
    for number, (target, text) in opened.items():
        (folder / "fd" / str(number)).symlink_to(target)
        (folder / "fdinfo" / str(number)).write_text(text, "utf-8")
    return folder
