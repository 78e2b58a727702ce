"""Where the user's own devices are read."""

from pathlib import Path

import pytest

from hwledger.device.catalogue import NOTHING
from hwledger.errors import InputError, MissingError
from hwledger.library.own_devices import own_devices, own_devices_path
from hwledger.library.paths import data_dir

pytestmark = pytest.mark.requirement("FR-DEVICES-OWN")

CARD = '[[device]]\nname = "my thing"\nmemory = "24GiB"\n'


def test_without_a_file_there_are_none() -> None:
    """Neither the file nor its folder need exist."""
    assert own_devices() is NOTHING


def test_the_data_folder_is_where_they_are_looked_for() -> None:
    """``devices.toml`` in hwledger's data folder."""
    data_dir().mkdir(parents=True)
    own_devices_path().write_text(CARD, "utf-8")
    assert own_devices_path() == data_dir() / "devices.toml"
    assert [entry.device.name for entry in own_devices().devices] == ["my thing"]


def test_the_environment_names_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that was named must be there."""
    path = tmp_path / "other.toml"
    monkeypatch.setenv("HWLEDGER_DEVICES", str(path))
    with pytest.raises(MissingError, match="HWLEDGER_DEVICES names it"):
        own_devices()
    path.write_text(CARD, "utf-8")
    assert own_devices().devices


@pytest.mark.requirement("NFR-BAD-INPUT")
@pytest.mark.parametrize(
    ("content", "said"),
    [(b"\xff\xfe", "UTF-8"), (b"#" * (10 << 20), "larger than 1 MiB"), (b"[[device", "is no TOML")],
    ids=["bytes", "10 MiB", "TOML"],
)
def test_a_file_that_cannot_be_used_is_one_sentence(
    content: bytes, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more than 1 MiB of a file is read, whatever its size."""
    path = tmp_path / "devices.toml"
    path.write_bytes(content)
    monkeypatch.setenv("HWLEDGER_DEVICES", str(path))
    with pytest.raises(InputError, match=said):
        own_devices()


@pytest.mark.requirement("NFR-BAD-INPUT")
def test_a_folder_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence says that it cannot be read."""
    monkeypatch.setenv("HWLEDGER_DEVICES", str(tmp_path))
    with pytest.raises(InputError, match="cannot be read"):
        own_devices()
