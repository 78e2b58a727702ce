"""Installing catalogues: checked whole before, put in force at once, taken back at will."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwledger.errors import (
    AmbiguousError,
    HwledgerError,
    InputError,
    MalformedError,
    MissingError,
    UsageError,
)
from hwledger.library import catalogue, files
from hwledger.library.catalogue import lock, store, writing
from hwledger.library.catalogue.active import catalogue_folder, shipped_bytes
from hwledger.library.catalogue.check import check_catalogue
from hwledger.library.catalogue.lock import LOCK, one_at_a_time
from hwledger.library.catalogue.origin import LIMIT
from hwledger.library.source import open_model

CONFIG = {
    "hidden_size": 64, "intermediate_size": 128, "model_type": "llama", "num_attention_heads": 4,
    "num_hidden_layers": 2, "num_key_value_heads": 2, "vocab_size": 100,
}  # fmt: skip
NO_NAMES = ("../../etc/passwd", "/etc/passwd", "ollama:x", "http://x", "a b/c d", "a/../b", "a/b/c", "~/x",
            ".hidden", "a\\b", "c:/x", "a/", "-x", "ünï/code")  # fmt: skip
"""What is a path, an address or a command elsewhere."""
Row = dict[str, Any]


def row(name: str = "a/One-1B", **changes: object) -> Row:
    """Return a row that can be used, changed as asked; a value of ``...`` removes the key."""
    facts = {"id": name, "aliases": [], "tags": ["dense"], "source": "a test", "config": CONFIG} | changes
    return {key: value for key, value in facts.items() if value is not ...}


def spell(*rows: object) -> bytes:
    """Return rows as a catalogue."""
    return "".join(json.dumps(one) + "\n" for one in rows).encode()


def grown(*rows: Row) -> bytes:
    """Return a few rows of the catalogue in the package and further ones."""
    shipped = [json.loads(line) for line in shipped_bytes().splitlines()]
    return spell(*(one for one in shipped if one["id"].endswith("/gpt2")), *rows)


def no_fetch(address: str, limit: int) -> bytes:
    """Fail: nothing may be fetched here."""
    raise AssertionError((address, limit))


@pytest.fixture
def install(tmp_path: Path) -> Callable[..., store.Update]:
    """Return a function that installs bytes from a file, however few models they hold."""

    def put(raw: bytes, **options: Any) -> store.Update:
        path = tmp_path / "new.jsonl"
        path.write_bytes(raw)
        return store.update(str(path), no_fetch, **{"force": True} | options)

    return put


Install = Callable[..., store.Update]


def everything() -> dict[str, bytes]:
    """Return every file of the store by name; the lock holds nothing."""
    folder = catalogue_folder()
    found = folder.iterdir() if folder.exists() else ()
    return {path.name: path.read_bytes() for path in found if path.name != LOCK}


@pytest.mark.requirement("FR-CATALOGUE-UPDATE")
def test_an_update_is_in_force_at_once(install: Install) -> None:
    """Names of the new catalogue are found in the same process, and what changed is told by id."""
    lines = shipped_bytes().splitlines(keepends=True)
    first, second = (json.loads(line)["id"] for line in lines[:2])
    changed = json.loads(lines[1]) | {"tags": ["other"]}
    raw = b"".join(lines[2:]) + spell(changed, row("z/New-1B", aliases=["newest"]))
    done = install(raw, force=False)
    assert (done.added, done.removed, done.changed) == (("z/New-1B",), (first,), (second,))
    assert done.version == sha256(raw).hexdigest()[:12]
    assert catalogue.lookup("newest").id == "z/New-1B"
    assert open_model("new-1b").layers
    with pytest.raises(MissingError):
        catalogue.lookup(first)
    assert store.active_version().path.read_bytes() == raw


@pytest.mark.requirement("FR-CATALOGUE-UPDATE")
def test_a_stated_date_is_kept(install: Install) -> None:
    """The first line may be about the catalogue; it is no model."""
    done = install(spell({"schema": "hwledger.catalogue/1", "date": "2026-01-31"}, row()))
    assert (done.stated, done.rows) == ("2026-01-31", 1)
    assert [entry.id for entry in catalogue.entries()] == ["a/One-1B"]
    assert store.active_version().stated == "2026-01-31"


@pytest.mark.requirement("FR-CATALOGUE-UPDATE")
def test_an_address_is_fetched_within_the_limit_and_recorded_without_secrets() -> None:
    """User, query and fragment of an address may be secret: they are used and not written down."""
    asked = []

    def fetch(address: str, limit: int) -> bytes:
        asked.append((address, limit))
        return grown(row())

    address = "https://me:secret@example.org/c.jsonl?token=secret#secret"
    assert store.update(address, fetch, force=True).source == "https://example.org/c.jsonl"
    assert asked == [(address, LIMIT)]
    assert not any(b"secret" in raw for raw in everything().values())


@pytest.mark.requirement("FR-CATALOGUE-UPDATE")
@pytest.mark.parametrize("address", ["http://localhost:1/c", "http://127.0.0.1/c", "http://[::1]:8/c"])
def test_http_is_for_this_machine(address: str) -> None:
    """Loopback addresses need no https."""
    done = store.update(address, lambda _address, _limit: grown(row()), force=True)
    assert done.rows == len(catalogue.entries())


@pytest.mark.requirement("FR-CATALOGUE-UPDATE")
@pytest.mark.parametrize(
    "source",
    ["", " ", "http://example.org/c", "http://127.0.0.1.example.org/c", "http://localhost@example.org/c",
     "ftp://example.org/c", "file://example.org/c", "file://", "https://", "https://[/c", "://", "http://10.0.0.1/c"],
)  # fmt: skip
def test_other_addresses_are_refused(source: str) -> None:
    """Nothing that can be tampered with on the way, and no other scheme, is fetched."""
    with pytest.raises(UsageError):
        store.update(source, no_fetch)
    assert everything() == {}


@pytest.mark.requirement("FR-CATALOGUE-UPDATE")
def test_a_wrong_digest_is_refused(install: Install) -> None:
    """The SHA-256 is compared before anything is read into the bytes; upper case is the same."""
    raw = grown(row())
    with pytest.raises(MalformedError, match="SHA-256"):
        install(raw, sha256="0" * 64)
    with pytest.raises(UsageError, match="64"):
        install(raw, sha256="abc")
    assert everything() == {}
    assert install(raw, sha256=sha256(raw).hexdigest().upper()).rows


@pytest.mark.requirement("FR-CATALOGUE-UPDATE")
def test_a_much_smaller_catalogue_needs_force(install: Install) -> None:
    """Less than half of the models is likely a mistake."""
    with pytest.raises(MalformedError, match="--force"):
        install(spell(row()), force=False)
    assert install(spell(row())).rows == 1


@pytest.mark.requirement("FR-CATALOGUE-UPDATE")
@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "no model"),
        (b"\n \n", "no model"),
        (b"\xff\xfe", "UTF-8"),
        (b"{", "line 1: this is no valid JSON"),
        (b"[]\n", "line 1: this holds a JSON list"),
        (b"[" * 100_000, "line 1: this is no valid JSON"),
        (spell({"schema": "hwledger.catalogue/1"}), "no model"),
        (spell({"schema": "hwledger.catalogue/2"}, row()), "update hwledger"),
        (spell({"schema": "hwledger.catalogue/1", "date": "today"}, row()), "line 1: 'date'"),
        (spell(row(), {"schema": "hwledger.catalogue/1"}), "line 2: 'id'"),
        (spell(row(), row("b", id=...)), "line 2: 'id'"),
        (spell(row("")), "'id'"),
        (spell(row("a\x1b[31m")), "'id'"),
        (spell(row(" a")), "'id'"),
        (spell(row("a" * 201)), "'id'"),
        *((spell(row(name)), "'id' must be org/name") for name in NO_NAMES),
        *((spell(row(aliases=[name])), "'aliases' must be a list of names like ids") for name in NO_NAMES),
        (spell(row(aliases="x")), "'aliases'"),
        (spell(row(aliases=["X"])), "'aliases'"),
        (spell(row(tags=[1])), "'tags'"),
        (spell(row(source="")), "'source'"),
        (spell(row(config=[])), "'config'"),
        (spell(row(), row("A/one-1b")), "line 2: 'a/one-1b' is taken already"),
        (spell(row(aliases=["x"]), row("b", aliases=["x"])), "line 2: 'x' is taken already"),
        (spell(row(aliases=["two"]), row("b/Two")), "line 1: the alias 'two' is the name of"),
        (spell(row(aliases=["b/two"]), row("b/Two")), "line 1: the alias 'b/two' is the name of"),
        (spell(row(config={})), "'model_type'"),
        (spell(row(config=CONFIG | {"model_type": 7})), "'model_type'"),
        (spell(row(config=CONFIG | {"hidden_size": -1})), "line 1 .a/One-1B.: hidden_size"),
        (spell(row(config=CONFIG | {"num_hidden_layers": 0})), "line 1"),
        (spell(row(config=CONFIG | {"note": "\ud800"})), "beyond what can be stored"),
        (spell(row()).replace(b"100", b"1e999"), "beyond what can be stored"),
    ],
)
def test_a_refused_catalogue_leaves_everything_as_it_was(install: Install, raw: bytes, reason: str) -> None:
    """Line and reason are named, and the store is the same to the byte."""
    install(grown(row()))
    before, models = everything(), catalogue.entries()
    with pytest.raises(MalformedError, match=reason) as caught:
        install(raw)
    assert len(str(caught.value)) < 1000
    assert everything() == before
    assert catalogue.entries() == models


@pytest.mark.requirement("FR-CATALOGUE-UPDATE")
def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    """No file, a folder, a pipe and an impossible name end in a sentence."""
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
    for source in (tmp_path / "none", tmp_path, tmp_path / "pipe", "a\0b", tmp_path / "none" / "x"):
        with pytest.raises(InputError):
            store.update(str(source), no_fetch)


@pytest.mark.requirement("FR-CATALOGUE-UPDATE")
def test_what_is_larger_than_the_limit_is_refused(tmp_path: Path) -> None:
    """A file or an answer of more than 32 MiB is no catalogue."""
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(LIMIT + 1)
    with pytest.raises(MalformedError, match="32 MiB"):
        store.update(str(large), no_fetch)
    with pytest.raises(MalformedError, match="32 MiB"):
        store.update("https://example.org/c", lambda _address, limit: bytes(limit + 1))


@pytest.mark.requirement("FR-CATALOGUE-UPDATE")
def test_undo_walks_back_change_by_change(install: Install) -> None:
    """Three changes, three steps back, then a sentence; each step is in force at once."""
    first = install(grown(row("z/One"))).version
    second = install(grown(row("z/One"), row("z/Two"))).version
    assert store.pin("shipped") == store.Move("shipped", second)
    for version, known in ((second, "z/Two"), (first, "z/One")):
        assert store.undo().version == version
        assert catalogue.lookup(known)
    assert store.undo() == store.Move("shipped", first)
    with pytest.raises(MissingError):
        catalogue.lookup("z/One")
    with pytest.raises(UsageError, match="undo"):
        store.undo()


@pytest.mark.requirement("FR-CATALOGUE-UPDATE")
def test_installing_the_same_again_is_no_change_to_undo(install: Install) -> None:
    """One step back leaves the second installation of the same bytes behind, too."""
    install(grown(row()))
    again = install(grown(row()))
    assert (again.added, again.removed, again.changed) == ((), (), ())
    assert again.previous == again.version
    assert len(store.versions()) == 2
    assert store.undo().version == "shipped"


@pytest.mark.requirement("FR-CATALOGUE-UPDATE")
def test_pin_takes_the_first_digits(install: Install) -> None:
    """A prefix names a version where it names only one; all of them are listed with their state."""
    names = [install(grown(*(row(f"z/M-{i}") for i in range(count)))).version for count in range(1, 19)]
    assert store.pin(names[0].upper()).previous == names[-1]
    assert [one.version for one in store.versions() if one.active] == [names[0]]
    first_digits = [name[0] for name in (*names, store.versions()[0].version)]
    several = next(digit for digit in first_digits if first_digits.count(digit) > 1)
    with pytest.raises(AmbiguousError):
        store.pin(several)
    for unknown in ("", "nothing", "../state", "0" * 13):
        with pytest.raises(UsageError):
            store.pin(unknown)


@pytest.mark.requirement("FR-CATALOGUE-UPDATE")
def test_the_shipped_version_can_be_kept_by_its_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pinned by name it follows the package; pinned by digits a newer package leaves it in force."""
    today = store.versions()[0]
    store.pin(today.version)
    monkeypatch.setattr(store, "shipped_bytes", lambda: spell(row()))
    active = store.active_version()
    assert (active.version, active.rows) == (today.version, today.rows)
    assert active.path.parent == catalogue_folder()


@pytest.mark.requirement("FR-CATALOGUE-UPDATE")
@pytest.mark.parametrize("failing", ["write_whole", "write_state"])
def test_a_crash_on_the_way_leaves_the_one_before(
    install: Install, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    """A full disk while the file or the record is written changes nothing that is in force."""
    install(grown(row("z/One")))
    models, state = catalogue.entries(), everything()["state.json"]

    def fail(*_: object) -> None:
        raise InputError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(store, failing, fail)
        with pytest.raises(InputError):
            install(grown(row("z/Two")))
    assert everything()["state.json"] == state
    assert catalogue.entries() == models
    assert install(grown(row("z/Two"))).added == ("z/Two",)


@pytest.mark.requirement("FR-CATALOGUE-UPDATE")
def test_a_failed_replacement_leaves_no_draft(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    """An OSError of the system ends in a sentence, and drafts are removed."""
    install(grown(row("z/One")))
    before = everything()

    def fail(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", fail)
        with pytest.raises(InputError, match="No space left"):
            install(grown(row("z/Two")))
    assert everything() == before


@pytest.mark.requirement("FR-CATALOGUE-UPDATE")
@pytest.mark.parametrize(
    "state",
    [b"", b"{", b"[]", b"\xff", b"{}", b'{"schema": "hwledger.catalogue-state/9"}',
     b'{"schema": "hwledger.catalogue-state/1", "active": "abc", "installed": [], "history": []}',
     b'{"schema": "hwledger.catalogue-state/1", "active": [], "installed": [], "history": []}',
     b'{"schema": "hwledger.catalogue-state/1", "active": "shipped", "installed": [[]], "history": []}',
     b'{"schema": "hwledger.catalogue-state/1", "active": "shipped", "installed": [], "history": [{}]}',
     (b'{"schema": "hwledger.catalogue-state/1", "active": "../../x", "installed": [{"sha256": "../../x", '
      b'"rows": 1, "date": "", "stated": "", "source": ""}], "history": []}')],
)  # fmt: skip
def test_a_damaged_record_is_said_and_has_a_way_out(state: bytes) -> None:
    """Nothing falls back in silence: the sentence names the command, and that command works."""
    catalogue_folder().mkdir(parents=True)
    (catalogue_folder() / "state.json").write_bytes(state)
    for use in (store.undo, store.versions, catalogue.entries, lambda: open_model("gpt2")):
        with pytest.raises(MalformedError, match="hwledger catalogue pin shipped"):
            use()
    moved = store.pin("shipped")
    assert moved.aside
    assert moved.aside.read_bytes() == state
    assert open_model("gpt2").layers


@pytest.mark.requirement("FR-CATALOGUE-UPDATE")
@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"{}")])
def test_a_damaged_catalogue_is_said_and_has_a_way_out(
    install: Install, damage: Callable[[Path], None]
) -> None:
    """A name is not planned from facts that were not checked; a damaged one is not gone back to either."""
    version = install(grown(row())).version
    damage(store.active_version().path)
    writing.forget()
    with pytest.raises(MalformedError, match="hwledger catalogue pin shipped"):
        open_model("gpt2")
    store.pin("shipped")
    assert open_model("gpt2").layers
    for back in (store.undo, lambda: store.pin(version)):
        with pytest.raises(MalformedError):
            back()
    assert install(grown(row())).version == version


@pytest.mark.requirement("FR-CATALOGUE-UPDATE")
def test_another_process_is_noticed(install: Install) -> None:
    """A record that another process replaced is read again."""
    install(grown(row("z/One")))
    assert catalogue.lookup("z/One")
    other = (catalogue_folder() / "state.json").read_bytes()
    install(grown(row("z/Two")))
    assert catalogue.lookup("z/Two")
    draft = catalogue_folder() / "draft"
    draft.write_bytes(other)
    draft.replace(catalogue_folder() / "state.json")
    os.utime(catalogue_folder() / "state.json", ns=(1, 1))
    assert catalogue.lookup("z/One")


@pytest.mark.requirement("FR-CATALOGUE-UPDATE")
def test_updates_at_the_same_time_end_with_one_of_them(tmp_path: Path) -> None:
    """Whoever writes last is in force, none is lost, and record and catalogue are whole."""

    def put(number: int) -> str:
        path = tmp_path / f"{number}.jsonl"
        path.write_bytes(grown(row(f"z/M-{number}")))
        return store.update(str(path), no_fetch, force=True).version

    with ThreadPoolExecutor(8) as pool:
        versions = set(pool.map(put, range(24)))
    writing.forget()
    assert len(versions) == 24
    assert store.active_version().version in versions
    assert len(catalogue.entries()) == 2
    assert {one.version for one in store.versions()[1:]} == versions
    assert not [name for name in everything() if name.endswith(".part")]


@pytest.mark.requirement("FR-CATALOGUE-UPDATE")
def test_processes_that_update_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    """Each change is made to what the one before left: all versions are listed, none is an orphan."""
    paths = [tmp_path / f"{number}.jsonl" for number in range(4)]
    for number, path in enumerate(paths):
        path.write_bytes(grown(row(f"z/M-{number}")))
    command = [sys.executable, "-m", "hwledger", "catalogue", "update", "--force"]
    running = [
        subprocess.Popen([*command, str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for path in paths
    ]
    assert [(process.communicate(timeout=60)[1], process.returncode) for process in running] == [(b"", 0)] * 4
    wanted = {sha256(path.read_bytes()).hexdigest()[:12] for path in paths}
    assert {one.version for one in store.versions()[1:]} == wanted
    assert {name for name in everything() if name.endswith(".jsonl")} == {f"{one}.jsonl" for one in wanted}


@pytest.mark.requirement("FR-CATALOGUE-UPDATE")
def test_whoever_waits_says_so_and_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """update, pin and undo wait for one another; a lock that is never let go ends in a sentence."""
    monkeypatch.setattr(lock, "PATIENCE_S", 0.01)
    monkeypatch.setattr(lock, "GIVE_UP_S", 0.05)
    said: list[str] = []
    uses = (
        lambda: store.update("https://x/c", lambda *_: grown(row()), force=True, say=said.append),
        lambda: store.pin("shipped", say=said.append),
        lambda: store.undo(say=said.append),
    )
    with one_at_a_time(catalogue_folder()):
        for use in uses:
            with pytest.raises(InputError, match="another hwledger"):
                use()
    assert len(said) == len(uses)
    assert "waiting" in said[0]
    assert store.pin("shipped").version == "shipped"


@pytest.mark.requirement("FR-CATALOGUE-UPDATE")
@pytest.mark.parametrize("prefix", ["file://", "FILE://", "file://localhost"])
def test_an_address_of_a_file_is_its_path(tmp_path: Path, prefix: str) -> None:
    """A path that a browser or a file manager gives works, with its escapes."""
    path = tmp_path / "a new one.jsonl"
    path.write_bytes(grown(row()))
    done = store.update(f"{prefix}{str(path).replace(' ', '%20')}", no_fetch, force=True)
    assert done.source == str(path)


@pytest.mark.requirement("FR-CATALOGUE-UPDATE")
def test_the_catalogue_of_the_package_passes_its_own_check() -> None:
    """What ships could be installed."""
    assert len(check_catalogue(shipped_bytes(), "shipped").entries) == len(catalogue.entries())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
ODD_KEYS = ("text_config", "layer_types", "torch_dtype", "quantization_config", "rope_scaling", "head_dim",
            "tie_word_embeddings", "num_experts")  # fmt: skip
odd_configs = st.dictionaries(st.sampled_from([*CONFIG, *ODD_KEYS]), json_values, max_size=3)
odd_rows = st.builds(
    lambda changes, config: row() | changes | {"config": CONFIG | config},
    st.dictionaries(st.sampled_from(["id", "aliases", "tags", "source", "schema"]), json_values, max_size=2),
    odd_configs,
)


@pytest.mark.requirement("FR-CATALOGUE-UPDATE")
@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | st.lists(odd_rows | json_values, max_size=3).map(lambda rows: spell(*rows)))
def test_any_bytes_are_refused_in_a_sentence_or_can_be_planned(raw: bytes) -> None:
    """Whatever a catalogue holds, it ends in one of our own errors or in models that can be read."""
    try:
        checked = check_catalogue(raw, "c.jsonl")
    except HwledgerError as error:
        assert isinstance(error, MalformedError)  # noqa: PT017 - either outcome is right
        return
    assert checked.entries
