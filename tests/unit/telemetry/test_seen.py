"""Forms in which people post the outputs of other tools: with their command, quoted, written wrongly."""

import pytest

from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Reading, Value, bytes_of, number_of
from hwledger.telemetry.recorded import formats, read_recorded, unquoted

Q = Quantity
ROW = '"device_name": "Test Arc",\n "gpu_clock": "500MHz",\n "temp": null,\n "mem_used": "{size}"'


def value(reading: Reading) -> object:
    """Return a value; fails on a reason."""
    assert isinstance(reading, Value), reading
    return reading.value


@pytest.mark.requirement("FR-TEL-NVTOP")
@pytest.mark.parametrize(
    "text",
    [
        f"[\n{{\n {ROW}\n}}\n]\n",
        f"$ nvtop -s\n[\n{{\n {ROW}\n}}\n]\n",
        f"]\n{{\n {ROW}\n}}\n]\n",
        f"[\n{{\n {ROW}\n}},\n".replace("null,", "null").replace('MHz",', 'MHz",'),
        f"> nvtop -s\n> [\n> {{\n>  {ROW}\n> }}\n> ]\n".replace("\n ", "\n>  "),
    ],
)  # fmt: skip
@pytest.mark.parametrize(("size", "count"), [("1048576", 1 << 20), ("2.5 MiB", 5 << 19)])
def test_nvtops_list_is_read_with_its_faults(text: str, size: str, count: int) -> None:
    """Missing commas and brackets, the command and quotation marks leave the values as they are."""
    kind, sample = read_recorded(text.replace("{size}", size))
    assert kind.name == "nvtop -s"
    (device,) = sample.devices
    assert (device.vendor, number_of(device[Q.CLOCK])) == ("Intel", 500e6)
    assert bytes_of(device[Q.MEMORY_USED]) == count


@pytest.mark.requirement("FR-TEL-NVTOP")
def test_nvtop_with_addresses_tells_limits_and_links() -> None:
    """Devices with an address merge with those of other sources."""
    text = (
        '[{"pci": "0000:0A:00.0", "device_name": "Radeon T", "gpu_clock": "1MHz", "gpu_clock_max": "9MHz",'
        ' "power_draw_max": "200W", "pcie_link_gen": 3, "max_pcie_link_width": 16}]'
    )
    (device,) = read_recorded(text)[1].devices
    assert device.key == "0000:0a:00.0"
    assert [number_of(device[each]) for each in (Q.CLOCK_MAX, Q.POWER_LIMIT, Q.PCIE_GENERATION)] == [
        9e6, 200, 3,
    ]  # fmt: skip


@pytest.mark.requirement("FR-TEL-RECORDED")
def test_a_slice_is_as_busy_as_its_engine() -> None:
    """DCGM tells no utilisation of slices, but how long their engine was active; the driver is a label."""
    labels = 'gpu="0",UUID="GPU-12345678-1234-1234-1234-123456789012",DCGM_FI_DRIVER_VERSION="550.1"'
    page = (
        f'DCGM_FI_DEV_GPU_UTIL{{{labels}}} 12\nDCGM_FI_PROF_GR_ENGINE_ACTIVE{{{labels}}} 0.5\n'
        f'DCGM_FI_PROF_GR_ENGINE_ACTIVE{{{labels},GPU_I_PROFILE="1g.5gb",GPU_I_ID="7"}} 0.25\n'
    )  # fmt: skip
    whole, part = read_recorded(page)[1].devices
    assert [value(each[Q.UTILIZATION]) for each in (whole, part)] == [0.12, 0.25]
    assert value(whole[Q.DRIVER]) == "550.1"


@pytest.mark.requirement("FR-TEL-ENGINES")
def test_a_short_list_of_lm_studio_is_known() -> None:
    """What is left of a reply by those who post it still names the context that was loaded."""
    kind, sample = read_recorded('{"data": [{"id": "m", "state": "loaded", "loaded_context_length": 99}]}')
    assert kind.name == "LM Studio GET /api/v0/models"
    assert value(sample.engines[0].models[0][Q.CONTEXT]) == 99


@pytest.mark.requirement("FR-TEL-RECORDED")
@pytest.mark.parametrize("margin", ["> ", ">", "> > ", "   ", "\t", "> \t"])
def test_a_quotation_is_read_without_its_marks(margin: str) -> None:
    """Marks of quotation and a common margin, as around text that was copied out of a page, are no output."""
    text = (
        "| AMD-SMI 26.1.9          amdgpu version: 6.1.2    ROCm version: 6.4.9 |\n"
        "| 0000:03:00.0        Some Radeon | 4 %       40 °C   0        21/80 W |\n"
        "|   0       0     N/A         N/A | 9 %       N/A          100/4096 MB |\n"
    )
    quoted = "".join(f"{margin}{line}\n" for line in text.splitlines())
    assert read_recorded(quoted) == read_recorded(text)
    assert len(read_recorded(quoted)[1].devices) == 1


@pytest.mark.requirement("NFR-TEL-HOSTILE")
@pytest.mark.parametrize(
    "text", [">" * 900 + "\n>x\n", "> " * 900 + "x\n" + "> " * 900, " \t" * 900 + "x\n y"]
)
def test_no_depth_of_quotations_is_too_much(text: str) -> None:
    """Marks within marks are taken off some levels deep, and every reader gets through what is left."""
    plain = unquoted(text)
    assert plain.strip()
    for each in formats():
        each.recognises(text)
        each.read(plain)
