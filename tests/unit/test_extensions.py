"""What packages register is found as importlib.metadata finds it."""

import sys
import zipfile
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from hwledger.extensions import Extension, extensions

REGISTERED = """
# a comment
[made.up]
one = json:dumps
two=json.decoder : JSONDecoder.decode [extra]

[made.up.too]
three = json
"""


def package(folder: Path, name: str, text: str) -> Path:
    """Write the metadata of a package that registers something."""
    place = folder / name
    place.mkdir(parents=True)
    (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name.partition('-')[0]}\nVersion: 1\n")
    (place / "entry_points.txt").write_text(text)
    return folder


def asked(group: str) -> list[tuple[str, str]]:
    """Return what importlib.metadata says."""
    return sorted((point.name, point.value) for point in entry_points(group=group))


def found(group: str) -> list[tuple[str, str]]:
    """Return what is found."""
    return sorted((one.name, one.target) for one in extensions(group))


@pytest.mark.requirement("FR-SRC-PORT")
@pytest.mark.parametrize("group", sorted(entry_points().groups))
def test_what_is_installed_here_is_found(group: str) -> None:
    """The names and targets of every group of this environment are those of importlib.metadata."""
    assert found(group) == asked(group)
    assert len(extensions("hwledger.engines")) >= 4


@pytest.mark.requirement("FR-SRC-PORT")
def test_a_broken_package_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Metadata that is no text leaves everything else that is registered in its place."""
    folder = package(tmp_path, "broken-1.0.dist-info", "")
    (folder / "broken-1.0.dist-info" / "entry_points.txt").write_bytes(b"[hwledger.engines]\n\xff\xfe\n")
    monkeypatch.syspath_prepend(str(folder))
    assert {"vllm", "mlx"} <= {one.name for one in extensions("hwledger.engines")}


@pytest.mark.requirement("FR-SRC-PORT")
def test_a_strangers_package_is_found_and_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Comments, spaces and extras are read; a name, a path and a module are loaded."""
    monkeypatch.syspath_prepend(str(package(tmp_path, "made_up-1.0.dist-info", REGISTERED)))
    assert found("made.up") == asked("made.up")
    assert found("made.up.too") == [("three", "json")]
    import json  # noqa: PLC0415 - what the made-up package names

    loaded = {one.name: one.load() for group in ("made.up", "made.up.too") for one in extensions(group)}
    assert loaded == {"one": json.dumps, "two": json.JSONDecoder.decode, "three": json}


@pytest.mark.requirement("FR-SRC-PORT")
def test_of_two_versions_of_a_package_the_first_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package that is installed twice, spelled in two ways, registers once."""
    for folder, name in (("b", "made_up-1.0.dist-info"), ("a", "Made.Up-2.0.dist-info")):
        text = f"[made.up]\nname = from_{folder}:thing\n"
        monkeypatch.syspath_prepend(str(package(tmp_path / folder, name, text)))
    assert found("made.up") == asked("made.up") == [("name", "from_a:thing")]


@pytest.mark.requirement("FR-SRC-PORT")
def test_packages_in_archives_and_of_other_finders_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A zip file on the path, and a finder that knows packages of its own, are asked through the library."""
    archive = tmp_path / "packed.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("made_up-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: made-up\nVersion: 1\n")
        file.writestr("made_up-1.0.dist-info/entry_points.txt", REGISTERED)
    monkeypatch.syspath_prepend(str(archive))
    assert found("made.up.too") == asked("made.up.too") == [("three", "json")]

    class Finder:
        def find_spec(self, *_: object) -> None:
            """Find no module."""

        def find_distributions(self, _: object) -> list[object]:
            return []

    monkeypatch.setattr(sys, "path", [place for place in sys.path if place != str(archive)])
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder()])
    assert found("hwledger.sources") == asked("hwledger.sources")


@pytest.mark.requirement("FR-SRC-PORT")
def test_what_is_not_there_is_an_error() -> None:
    """A module or a name that a package only claims to have is not loaded silently."""
    with pytest.raises(ImportError):
        Extension("g", "n", "no_such_module_at_all:x").load()
    with pytest.raises(AttributeError):
        Extension("g", "n", "json:no_such_name").load()
