"""Files are written whole or not at all, and what is no file is written to and stays what it is."""

import os
import stat
import threading
from pathlib import Path

import pytest

from hwledger.errors import InputError
from hwledger.library.files import make_folder, write_whole

pytestmark = pytest.mark.requirement("FR-EXPORT-CLI")


def test_a_file_is_replaced_and_nothing_else_is_touched(tmp_path: Path) -> None:
    """The permissions stay, a ``.part`` of somebody's own too, and no draft is left."""
    (tmp_path / "x").write_text("before")
    (tmp_path / "x").chmod(0o640)
    (tmp_path / "x.part").write_text("mine")
    write_whole(tmp_path / "x", b"after")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"x": "after", "x.part": "mine"}
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o640


def test_a_new_file_has_the_permissions_of_any_other(tmp_path: Path) -> None:
    """It is not for its owner alone unless the user wants that of new files."""
    (tmp_path / "usual").touch()
    write_whole(tmp_path / "new", b"", lasting=False)
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_link_is_followed(tmp_path: Path) -> None:
    """The file that it names is written, also where that is not there yet."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder/file")
    for text in (b"one", b"two"):
        write_whole(tmp_path / "link", text)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "folder/file").read_bytes() == text


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    """Its reader gets the bytes, and it is a pipe afterwards."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()
    write_whole(pipe, b"text")
    reader.join(10)
    assert read == [b"text"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    """Folders, missing folders and links in a circle are sentences, and leave no draft."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "none/x", tmp_path / "a", tmp_path / "file/x"):
        with pytest.raises(InputError, match="cannot be written"):
            write_whole(path, b"")
    with pytest.raises(InputError, match="folder cannot be made"):
        make_folder(tmp_path / "file/x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "file"]
