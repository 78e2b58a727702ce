"""Files of the kernel that are kept open between looks."""

import errno
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwledger.telemetry import kept
from hwledger.telemetry.kept import KeptFile
from hwledger.telemetry.reading import Absent, Reason
from hwledger.telemetry.system import System

pytestmark = [
    pytest.mark.requirement("NFR-TEL-CALM"),
    pytest.mark.skipif(not hasattr(os, "pread"), reason="nothing is kept open where pread is lacking"),
]


def opened(path: Path) -> int:
    """Return how many descriptors of this process lead to a file."""
    with os.scandir("/proc/self/fd") as links:
        return sum(each.is_symlink() and os.path.realpath(each) == str(path) for each in links)


def failing(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let the kernel answer each read of an open file with an error."""

    def fail(*_: object) -> bytes:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "pread", fail)


@given(st.lists(st.binary(max_size=9000), min_size=1, max_size=4))
def test_it_says_what_a_file_that_is_opened_says(texts: list[bytes]) -> None:
    """Whatever bytes stand in it, one after the other, longer than a page too."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gpu_busy_percent"
        file = KeptFile(System(), path)
        for text in texts:
            path.write_bytes(text)
            assert file.read() == System().read(path)


def test_it_is_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Later looks read the same descriptor; it is gone with the file that held it."""
    path = tmp_path / "temp1_input"
    path.write_text("51000\n", "utf-8")
    file = KeptFile(System(), path)
    assert file.read() == "51000"
    monkeypatch.setattr(os, "open", None)
    path.write_text("52000\n", "utf-8")
    assert (file.read(), opened(path)) == ("52000", 1)
    file.close()
    assert opened(path) == 0
    monkeypatch.undo()
    assert (file.read(), opened(path)) == ("52000", 1)
    del file
    assert opened(path) == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it asks Linux's own procfs")
def test_what_goes_while_it_is_open_is_lost() -> None:
    """A real file of the kernel whose process ends: lost, with nothing kept, and then not there."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        path = Path(f"/proc/{child.pid}/stat")
        file = KeptFile(System(), path)
        assert isinstance(file.read(), str)
        child.communicate(b"\n")
    gone, never = file.read(), file.read()
    assert isinstance(gone, Absent)
    assert isinstance(never, Absent)
    assert (gone.reason, never.reason, opened(path)) == (Reason.LOST_DEVICE, Reason.UNSUPPORTED, 0)


@pytest.mark.parametrize("number", [errno.EIO, errno.EBUSY, errno.EPERM])
def test_a_file_that_fails_is_opened_anew(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that has passed when it is opened anew is none; no descriptor is left behind."""
    path = tmp_path / "power1_average"
    path.write_text("291000000", "utf-8")
    file = KeptFile(System(), path)
    file.read()
    failing(monkeypatch, number)
    for _ in range(5):
        assert (file.read(), opened(path)) == ("291000000", 1)


def test_another_file_of_that_name_is_read_at_the_next_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel says that the one that is open is gone: lost for that look, whatever the path holds now."""
    path = tmp_path / "power1_average"
    path.write_text("291000000", "utf-8")
    file = KeptFile(System(), path)
    file.read()
    failing(monkeypatch, errno.ENODEV)
    told = file.read()
    assert isinstance(told, Absent)
    assert (told.reason, opened(path)) == (Reason.LOST_DEVICE, 0)
    assert (file.read(), opened(path)) == ("291000000", 1)


def test_a_file_that_fails_still_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is that of ``System.read``, and it is asked again at the next look."""
    path = tmp_path / "power1_average"
    path.write_text("291000000", "utf-8")
    answers: list[str | Absent] = ["1", Absent(Reason.LOST_DEVICE, "no such device"), "3"]

    class Machine(System):
        def read(self, path: Path) -> str | Absent:
            del path
            return answers.pop(0)

    file = KeptFile(Machine(), path)
    file.read()
    failing(monkeypatch, errno.EIO)
    told = file.read()
    assert isinstance(told, Absent)
    assert (told.detail, opened(path)) == ("no such device", 0)
    assert (file.read(), opened(path)) == ("3", 1)


@pytest.mark.parametrize(("name", "value"), [("LAST_KEPT", 0), ("_CAN", False)])
def test_nothing_is_kept_where_nothing_can(
    name: str, value: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a process has many files open, or the system no ``pread``, each look opens the file."""
    monkeypatch.setattr(kept, name, value)
    path = tmp_path / "fan1_input"
    file = KeptFile(System(), path)
    for text in ("1320", "1330"):
        path.write_text(text, "utf-8")
        assert (file.read(), opened(path)) == (text, 0)
