"""The table of accelerators: every row is complete, dense and plausible."""

import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from hwledger.device.catalogue import devices, find_device
from hwledger.device.pcie import pcie_bandwidth
from hwledger.device.spec import RATE_TYPES, DeviceSpec
from hwledger.units import GIB, MIB

GIGABYTES = {  # per second, by kind of memory: from the slowest to the fastest that was built
    "GDDR5": (80, 400), "GDDR5X": (250, 600), "GDDR6": (90, 1000), "GDDR6X": (450, 1100),
    "GDDR7": (250, 1800),
    "HBM": (800, 1700), "HBM2": (400, 1300), "HBM2e": (900, 3800), "HBM3": (2000, 5400),
    "HBM3e": (4000, 8200),
    "LPDDR": (60, 1300), "LPDDR5": (30, 210), "LPDDR5X": (130, 280),
}  # fmt: skip
# No type is multiplied more often than its bits allow beside fp16 summed in fp16 (fp4 once more on Ultra).
MOST_TIMES_FP16 = {"fp16": 1, "bf16": 1, "fp8": 2, "fp4": 6, "int8": 4}
UNKNOWN_RATES = {"L40G", "CMP 170HX"}


@pytest.fixture(params=devices(), ids=lambda device: device.name)
def device(request: pytest.FixtureRequest) -> DeviceSpec:
    """Return every device of the table."""
    assert isinstance(request.param, DeviceSpec)
    return request.param


@pytest.mark.requirement("FR-DEVICES-MEMORY")
def test_memory_is_complete_and_each_figure_has_basis_and_source(device: DeviceSpec) -> None:
    """Memory, usable memory and context each say what they rest on; usable is no more than there is."""
    assert GIB <= device.memory_bytes <= 512 * GIB
    assert (
        0.6 * device.memory_bytes <= device.usable_bytes <= 1.003 * device.memory_bytes
    )  # B300: 268.1 of 268
    assert 0 <= device.context_bytes < GIB
    assert {device.usable_basis, device.context_basis} <= {"measured", "assumed"}
    assert device.source
    assert device.usable_source
    assert device.context_source


@pytest.mark.requirement("FR-DEVICES-RATES")
def test_bandwidth_is_that_of_its_kind_of_memory(device: DeviceSpec) -> None:
    """Each bandwidth lies between the slowest and the fastest of its memory type."""
    low, high = GIGABYTES[device.memory_type]
    assert device.bandwidth_bytes_per_second is not None
    assert low <= device.bandwidth_bytes_per_second / 1e9 <= high


@pytest.mark.requirement("FR-DEVICES-RATES")
def test_rates_are_dense(device: DeviceSpec) -> None:
    """No rate is larger, against fp16, than dense arithmetic allows: a sparse figure would be twice that."""
    rates = device.rates
    assert set(rates) <= set(RATE_TYPES)
    full = rates.get("fp16_acc16") if device.category in {"geforce", "laptop"} else None
    base = max(full or 0, rates.get("fp16", 0), rates.get("bf16", 0))
    assert base or device.name in UNKNOWN_RATES
    for kind, times in MOST_TIMES_FP16.items():
        assert rates.get(kind, 0) <= times * base * 1.03, kind  # sheets round


@pytest.mark.requirement("FR-DEVICES-RATES")
def test_a_generation_has_the_number_types_that_it_multiplies(device: DeviceSpec) -> None:
    """No bf16 before Ampere, no fp8 before Ada and Hopper, no fp4 before Blackwell; Pascal widens fp16."""
    if device.vendor != "NVIDIA" or device.name in UNKNOWN_RATES:
        return
    capability = float(device.compute_capability)
    assert ("bf16" in device.rates) == (capability >= 8)
    assert ("fp8" in device.rates) == (capability >= 8.9)
    assert ("fp4" in device.rates) == (capability >= 10)
    if capability == 6.1:
        assert device.rates["fp16"] == device.rates["fp32"]
        assert device.rates["fp16_acc16"] < device.rates["fp32"] / 50


@pytest.mark.requirement("FR-DEVICES-RATES")
def test_what_joins_devices_is_a_rate_per_direction(device: DeviceSpec) -> None:
    """Links and bridges have a name and a bandwidth, never both; slots are what their generation carries."""
    assert bool(device.link) == bool(device.link_bytes_per_second)
    assert bool(device.bridge) == bool(device.bridge_bytes_per_second)
    assert not (device.link and device.bridge)
    assert (device.link_bytes_per_second or 0) <= 900e9
    assert bool(device.pcie) == bool(device.pcie_bytes_per_second)


@pytest.mark.requirement("FR-DEVICES-RATES")
@pytest.mark.parametrize(
    ("name", "gigabytes"),
    [
        ("RTX 5060", 448), ("RX 9070", 640), ("RX 9070 XT", 640), ("RTX PRO 6000 Blackwell", 1792),
        ("RTX PRO 6000 Blackwell Server", 1597), ("M3 Max 36GB", 307.2), ("M3 Max 48GB", 409.6),
        ("M4 Max 36GB", 410), ("M4 Max 64GB", 546), ("M5 Max 36GB", 460), ("H100 PCIe 80GB", 2039),
        ("H100 SXM 80GB", 3352), ("H100 NVL 94GB", 3938), ("MI250X", 1638.5), ("A100 SXM 40GB", 1555),
    ],
)  # fmt: skip
def test_bandwidths_that_sheets_get_wrong(name: str, gigabytes: float) -> None:
    """Products of one name with two bandwidths, and those that common tables have wrong."""
    assert find_device(name).bandwidth_bytes_per_second == round(gigabytes * 1e9)


@pytest.mark.requirement("FR-DEVICES-RATES")
@pytest.mark.parametrize(
    ("name", "kind", "tera"),
    [
        ("RTX 4090", "fp16", 165.2), ("RTX 4090", "fp16_acc16", 330.3), ("RTX 4090", "fp8", 330.3),
        ("RTX 3090", "fp16", 71.2), ("RTX A6000", "fp16", 154.8), ("H100 SXM 80GB", "bf16", 989.4),
        ("H100 SXM 80GB", "fp8", 1979), ("B200", "fp4", 9000), ("A100 SXM 80GB", "int8", 624),
        ("L20", "fp16", 119.5), ("L40S", "fp8", 733), ("MI300X", "bf16", 1307), ("MI100", "bf16", 92.3),
        ("MI250X", "fp16", 191.5), ("T4", "fp16", 65), ("P40", "fp16", 11.8), ("GTX 1660", "fp16", 5.0),
        ("RX 7900 XTX", "fp16", 122.8), ("RX 5700 XT", "fp16", 9.8), ("MI50 32GB", "fp16", 26.5),
        ("TPU v5e", "bf16", 197), ("DGX Spark", "fp4", 500), ("M1 Max 32-core 64GB", "fp16", 10.4),
    ],
)  # fmt: skip
def test_rates_that_sheets_get_wrong(name: str, kind: str, tera: float) -> None:
    """Dense rates, summed in fp32 unless it is said, of one device and not of a board of two."""
    assert find_device(name).rates[kind] == pytest.approx(tera * 1e12)


@pytest.mark.requirement("FR-DEVICES-MEMORY")
@pytest.mark.parametrize(
    ("name", "mib"),
    [
        ("RTX 3070", 7819), ("RTX 4060 Laptop", 7815), ("RTX 2060 12GB", 11833), ("RTX 3060 12GB", 11920),
        ("RTX PRO 6000 Blackwell Max-Q", 97247), ("RTX 5090", 32120), ("A40", 45610), ("L4", 22570),
        ("A100 PCIe 80GB", 81050), ("H100 PCIe 80GB", 81080), ("T4", 14912), ("RTX A6000", 48570),
        ("P40", 22919), ("GTX 1070", 8107), ("V100 SXM2 16GB", 16160), ("RX 7800 XT", 16368),
        ("MI300X", 196592), ("DGX Spark", 122500),
        ("M1 Max 64GB", 53084), ("M4 Max 128GB", 110100), ("M3 Ultra 256GB", 228065),
        ("M3 Ultra 512GB", 475136),
        ("M4 Pro 48GB", 38338), ("M2 Max 32GB", 25559), ("M2 Max 96GB", 73728),
    ],
)  # fmt: skip
def test_usable_memory_is_what_drivers_report(name: str, mib: int) -> None:
    """Driver totals, some of them of cards whose own total is not in the table, are met within 2 %."""
    assert find_device(name).usable_bytes / MIB == pytest.approx(mib, rel=0.02)


@pytest.mark.requirement("FR-DEVICES-MEMORY")
@pytest.mark.parametrize(
    ("name", "mib"),
    [("RTX 3090", 256), ("RTX 4090", 453), ("B200", 612), ("H100 SXM 80GB", 518), ("H200 NVL", 518),
     ("RTX 4070 Ti", 210), ("A100 SXM 80GB", 423), ("RX 7900 XTX", 400)],
)  # fmt: skip
def test_a_context_takes_what_its_processors_need(name: str, mib: float) -> None:
    """Measured contexts are kept, and others follow from the number of multiprocessors."""
    assert find_device(name).context_bytes / MIB == pytest.approx(mib, rel=0.01)


@pytest.mark.requirement("FR-DEVICES-RATES")
def test_prices_say_when_and_who() -> None:
    """A price has a currency, a date and a source; many common cards have one."""
    priced = [device.price for device in devices() if device.price]
    assert len(priced) > 80
    assert all(
        price.amount > 0 and price.currency == "USD" and price.date and price.source for price in priced
    )


@pytest.mark.requirement("FR-DEVICES-RATES")
@pytest.mark.parametrize(
    ("slot", "gigabytes"),
    [("3.0 x16", 15.75), ("4.0 x16", 31.51), ("5.0 x8", 31.51), ("4.0x4", 7.88), ("gen3x16", 15.75),
    ("1.0 x4", 1.0),
     ("PCIe 6.0 x16", 121.0)],
)  # fmt: skip
def test_a_slot_carries_what_its_line_code_leaves(slot: str, gigabytes: float) -> None:
    """Generation and lanes make bytes per second of one direction."""
    assert (pcie_bandwidth(slot) or 0) / 1e9 == pytest.approx(gigabytes, abs=0.01)


@pytest.mark.requirement("FR-DEVICES-RATES")
@pytest.mark.parametrize("slot", ["", "7.0 x16", "4.0 x3", "x16", "4.0", "NVLink"])
def test_what_is_no_slot_has_no_bandwidth(slot: str) -> None:
    """Other generations, widths and links are not guessed."""
    assert pcie_bandwidth(slot) is None


@pytest.mark.shared_data
@pytest.mark.requirement("FR-DEVICES-RATES")
def test_the_table_is_what_the_tool_makes(shared_data: Path, tmp_path: Path) -> None:
    """The table in the package is not edited by hand: sheet, corrections and tool make it again."""
    tool, made = Path(__file__).parents[3] / "tools/tabulate_accelerators.py", tmp_path / "made.csv"
    subprocess.run([sys.executable, str(tool), str(shared_data / "accelerators.csv"), str(made)], check=True)
    assert made.read_text("utf-8") == files("hwledger.device").joinpath("data/accelerators.csv").read_text(
        "utf-8"
    )
