"""Forms of nvidia-smi's output that people post: old drivers, quotations, commands, loops."""

import pytest

from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Reason, Value, bytes_of, number_of
from hwledger.telemetry.recorded import formats, read_recorded
from hwledger.telemetry.snapshot import DeviceSnapshot, Sample

pytestmark = pytest.mark.requirement("FR-TEL-NVIDIA-SMI")
Q = Quantity
OLD = """
| NVIDIA-SMI 5.319.1    Driver Version: 319.1          |
| GPU  Name        Persistence-M| Bus-Id        Disp.A | Volatile Uncorr. ECC |
|   0  Quadro Test         Off  | 0000:05:00.0     N/A |                  N/A |
| 40%   50C  N/A     N/A /  N/A |       20MB /  1024MB |     N/A      Default |
|   1  Tesla Test          Off  | 0000:06:00.0     Off |                    2 |
| N/A   41C    P0    55W / 200W |      100MB /  4096MB |     12%      Default |
| Compute processes:                                               GPU Memory |
|  GPU       PID  Process name                                     Usage      |
|    0            Not Supported                                               |
|    1      4242  ./solver --fast                                       80MB  |
"""
SLICED = """
| NVIDIA-SMI 535.1        Driver Version: 535.1        CUDA Version: 12.2     |
| GPU  Name        Persistence-M| Bus-Id        Disp.A | Volatile Uncorr. ECC |
|   0  NVIDIA Test         On   | 00000000:0C:00.0 Off |                   On |
| N/A   30C    P0    60W / 300W |                  N/A |     N/A      Default |
"""


def sample_of(text: str) -> Sample:
    """Return what the one reader that knows a text says."""
    assert sum(each.recognises(text) for each in formats()) == 1
    return read_recorded(text)[1]


def only(text: str) -> DeviceSnapshot:
    """Return the one device."""
    (device,) = sample_of(text).devices
    return device


@pytest.mark.parametrize("margin", ["", "    ", "> ", "\t"])
def test_the_table_of_old_drivers_is_read_wherever_it_was_pasted(margin: str) -> None:
    """Their MB are MiB, their list is of compute processes alone, and a device without one says so."""
    first, second = sample_of("".join(f"{margin}{line}\n" for line in OLD.splitlines())).devices
    assert bytes_of(first[Q.MEMORY_TOTAL]) == 1024 << 20
    assert isinstance(first.processes, Absent)
    assert first.processes.reason is Reason.UNSUPPORTED
    assert bytes_of(second[Q.MEMORY_USED]) == 100 << 20
    assert not isinstance(second.processes, Absent)
    (process,) = second.processes
    assert (process.pid, process.name, process.kind) == (4242, "./solver --fast", "compute")
    assert bytes_of(process.memory) == 80 << 20
    assert "reserves" in second.notes[0]


def test_errors_of_a_sliced_device_are_those_of_its_slices() -> None:
    """In MIG mode the column of errors says that it is on; a name that may not be seen is none."""
    device = only(SLICED)
    errors = device[Q.ERRORS_UNCORRECTED]
    assert isinstance(errors, Absent)
    assert errors.reason is Reason.UNSUPPORTED
    hidden = "| Processes: |\n|    0   N/A  N/A      77    C+G   Insufficient Permissions        N/A      |\n"
    held = only(SLICED + hidden).processes
    assert not isinstance(held, Absent)
    assert [(each.pid, each.name) for each in held] == [(77, "")]


ROWS = "index, name, memory.used [MiB], memory.total [MiB]\n0, NVIDIA Test, 7 MiB, 9 MiB\n"


@pytest.mark.parametrize(
    "above",
    [
        "$ nvidia-smi --query-gpu=index,name,memory.used,memory.total --format=csv\n",
        "user@host:~$ nvidia-smi --query-gpu=memory.used,name --format=csv\n\n",
        "```\n",
        "This is what I see:\n",
        "",
    ],
)
def test_a_command_above_the_columns_is_no_row(above: str) -> None:
    """What was copied with the columns is neither their names nor a device."""
    device = only(above + ROWS)
    assert (device.index, device.name, bytes_of(device[Q.MEMORY_USED])) == (0, "NVIDIA Test", 7 << 20)


def test_of_a_loop_the_last_look_counts() -> None:
    """Rows of one device, and looks told apart by their times, are no more devices."""
    loop = ROWS + "0, NVIDIA Test, 8 MiB, 9 MiB\n" + ROWS.replace("7 MiB", "6 MiB")
    assert bytes_of(only(loop)[Q.MEMORY_USED]) == 6 << 20
    timed = (
        "timestamp, utilization.gpu [%]\n2025/01/02 03:04:05.100, 1 %\n2025/01/02 03:04:05.103, 2 %\n"
        "2025/01/02 03:04:06.101, 3 %\n2025/01/02 03:04:06.105, 4 %\n"
    )
    assert [number_of(each[Q.UTILIZATION]) for each in sample_of(timed).devices] == [0.03, 0.04]


def test_one_column_is_enough() -> None:
    """A single column with a name of nvidia-smi's is read, and what it does not support is said."""
    assert number_of(only("utilization.memory [%]\n12 %\n")[Q.MEMORY_ACTIVITY]) == 0.12
    lacking = only("utilization.memory [%]\n[Not Supported]\n")[Q.MEMORY_ACTIVITY]
    assert isinstance(lacking, Absent)
    assert lacking.reason is Reason.UNSUPPORTED


@pytest.mark.parametrize("row", ["4096, 4000, 96, 50, [N/A], 3, 1", "12 MiB, 4096 MiB, 3 %, P8"])
def test_rows_without_names_are_known_and_not_guessed(row: str) -> None:
    """Numbers as nvidia-smi alone prints them, without the names of their columns, say nothing sure."""
    sample = sample_of(f"{row}\n")
    assert sample.failure is not None
    assert "names" in sample.failure.detail
    assert all(isinstance(each[Q.MEMORY_USED], Absent) for each in sample.devices)
    assert not any(each.recognises("1, 2, 3, 4\n") for each in formats())


def test_what_no_device_supports_is_said() -> None:
    """The refusal of ``dmon`` is ``unsupported``."""
    failure = sample_of("Not supported on the device(s)\nFailed to process command line\n").failure
    assert failure is not None
    assert failure.reason is Reason.UNSUPPORTED


def test_a_library_that_is_not_found_is_no_version() -> None:
    """Without libcuda nvidia-smi says that CUDA was not found, which is no version of it."""
    text = "=====NVSMI LOG=====\nDriver Version : 580.1\nCUDA Version : Not Found\nGPU 00000000:0A:00.0\n"
    assert not any(isinstance(each[Q.RUNTIME], Value) for each in sample_of(text).devices)


def test_rows_of_a_table_are_enough_and_an_error_for_a_name_is_a_lost_device() -> None:
    """What is left of a table by those who post it is read; a device that is all errors is lost."""
    rows = (
        "|   4  NVIDIA Test         On   | 00000000:0C:00.0 Off |                    0 |\n"
        "| N/A   34C    P0    60W / 400W |     10MiB / 81920MiB |      5%      Default |\n"
        "|   5  ERR!                On   | 00000000:0D:00.0 Off |                 ERR! |\n"
        "|ERR!  ERR! ERR!    ERR! / ERR! |      0MiB / 81920MiB |    ERR!      Default |\n"
    )
    well, lost = sample_of(rows).devices
    assert (well.index, bytes_of(well[Q.MEMORY_USED])) == (4, 10 << 20)
    assert lost.name == ""
    for quantity in (Q.UTILIZATION, Q.POWER, Q.PERFORMANCE_STATE, Q.ERRORS_UNCORRECTED):
        reading = lost[quantity]
        assert isinstance(reading, Absent)
        assert reading.reason is Reason.LOST_DEVICE


def test_a_sensor_that_sleeps_is_no_temperature() -> None:
    """A Jetson whose GPU is off says -256 degrees of it."""
    line = "RAM 4300/30698MB GR3D_FREQ 0%@[0,0] GPU@-256C tj@44.5C VDD_IN 4824mW/4824mW"
    device = only(f"{line}\n")
    asleep = device[Q.TEMPERATURE]
    assert isinstance(asleep, Absent)
    assert asleep.reason is Reason.UNSUPPORTED
    assert number_of(device[Q.TEMPERATURE_HOTSPOT]) == 44.5


def test_the_newest_row_of_each_device_of_dmon_counts() -> None:
    """Columns are known by their names, also with times before them; a dash is no value; MB are MiB."""
    text = (
        "$ nvidia-smi dmon -s pucm -o T\n"
        "#Time        gpu   pwr gtemp mtemp    sm   mem  mclk  pclk    fb\n"
        "#HH:MM:SS    Idx     W     C     C     %     %   MHz   MHz    MB\n"
        " 01:02:03      0    10    30     -     1     2   400   300     7\n"
        " 01:02:03      1    11    31     -     3     4   401   301     8\n"
        " 01:02:04      0    12    32     -     -     6   402   302     9\n"
        " 01:02:04      1    13\n"
    )
    first, second = sample_of(text).devices
    assert (first.index, number_of(first[Q.POWER]), bytes_of(first[Q.MEMORY_USED])) == (0, 12, 9 << 20)
    assert number_of(first[Q.CLOCK]) == 302e6
    assert number_of(second[Q.UTILIZATION]) == 0.03
    for quantity in (Q.UTILIZATION, Q.TEMPERATURE_MEMORY):
        lacking = first[quantity]
        assert isinstance(lacking, Absent)
        assert lacking.reason is Reason.UNSUPPORTED
    assert sample_of(text.partition(" 01:02:03")[0]).troubles
