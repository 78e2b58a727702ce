"""The memory that control groups leave a process."""

from pathlib import Path

import pytest

from hwledger.telemetry.group import group_limit
from hwledger.telemetry.reading import Absent, Reason, bytes_of
from support.kernel import machine, written

pytestmark = pytest.mark.requirement("FR-TEL-LOCAL")
GIB = 1 << 30


@pytest.mark.parametrize(
    ("groups", "files", "limit"),
    [
        ("0::/", {"memory.max": f"{8 * GIB}\n"}, 8 * GIB),
        ("0::/system.slice/job.service", {"system.slice/memory.max": f"{32 * GIB}\n",
                                          "system.slice/job.service/memory.max": f"{16 * GIB}\n"}, 16 * GIB),
        ("0::/slurm/job_7/step_0", {"slurm/job_7/memory.max": f"{4 * GIB}\n",
                                    "slurm/job_7/step_0/memory.max": "max\n"}, 4 * GIB),
        ("4:memory:/docker/1\n0::/", {"memory/memory.limit_in_bytes": f"{2 * GIB}\n"}, 2 * GIB),
        ("4:cpu,memory:/a\n0::/", {"memory/a/memory.limit_in_bytes": f"{3 * GIB}\n",
                                   "memory/memory.limit_in_bytes": "9223372036854771712\n"}, 3 * GIB),
        ("0::/../../other", {"memory.max": f"{GIB}\n"}, GIB),
        ("", {"memory.max": f"{5 * GIB}\n"}, 5 * GIB),
    ],
)  # fmt: skip
def test_the_least_limit_on_the_way_up_counts(
    tmp_path: Path, groups: str, files: dict[str, str], limit: int
) -> None:
    """In a container, a service and a job of either version; a group outside of what is shown has none."""
    system = machine(tmp_path)
    written(tmp_path / "sys/fs/cgroup", files)
    written(tmp_path / "proc", {"self/cgroup": f"{groups}\n"})
    found = group_limit(system)
    assert bytes_of(found) == limit
    assert found.source.startswith("/sys/fs/cgroup")


@pytest.mark.parametrize(
    ("files", "reason"),
    [({}, Reason.UNSUPPORTED), ({"memory.max": "max\n"}, Reason.UNSUPPORTED),
     ({"memory.max": "soon\n"}, Reason.UNPARSED)],
)  # fmt: skip
def test_no_limit_is_told_from_one_that_is_not_understood(
    tmp_path: Path, files: dict[str, str], reason: Reason
) -> None:
    """Neither becomes a number."""
    system = machine(tmp_path)
    written(tmp_path / "sys/fs/cgroup", files)
    found = group_limit(system)
    assert isinstance(found, Absent)
    assert found.reason is reason
