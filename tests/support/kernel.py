"""Trees as the kernel's ``/sys`` and ``/proc``, for sources that read them."""

from collections.abc import Mapping
from pathlib import Path

from hwledger.telemetry.system import System

CLIENT = "drm-driver:\t{driver}\ndrm-pdev:\t{address}\ndrm-client-id:\t{number}\n{rest}"

RADEON = {
    "mem_info_vram_total": "25753026560\n", "mem_info_vram_used": "1048576000\n",
    "mem_info_gtt_total": "33533788160\n", "mem_info_gtt_used": "88080384\n",
    "gpu_busy_percent": "97\n", "mem_busy_percent": "41\n",
    "pp_dpm_sclk": "0: 500Mhz \n1: 2304Mhz *\n2: 2482Mhz \n", "pp_dpm_mclk": "0: 96Mhz \n1: 1249Mhz *\n",
    "current_link_speed": "16.0 GT/s PCIe\n", "current_link_width": "16\n",
    "max_link_speed": "32.0 GT/s PCIe\n", "max_link_width": "16\n",
    "power_dpm_force_performance_level": "auto\n", "unique_id": "2f048617326b1ea\n",
    "product_name": "Radeon RX 7900 XTX\n", "ras/umc_err_count": "ue: 2\nce: 7\n",
    "hwmon/hwmon5/temp1_input": "51000\n", "hwmon/hwmon5/temp1_label": "edge\n",
    "hwmon/hwmon5/temp2_input": "68000\n", "hwmon/hwmon5/temp2_label": "junction\n",
    "hwmon/hwmon5/temp3_input": "74000\n", "hwmon/hwmon5/temp3_label": "mem\n",
    "hwmon/hwmon5/power1_average": "291000000\n", "hwmon/hwmon5/power1_cap": "303000000\n",
    "hwmon/hwmon5/fan1_input": "1320\n", "hwmon/hwmon5/fan1_max": "3300\n",
    "hwmon/hwmon5/freq1_input": "2371000000\n", "hwmon/hwmon5/freq1_label": "sclk\n",
}  # fmt: skip
"""Files of a whole card, below the folder of its device."""


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
