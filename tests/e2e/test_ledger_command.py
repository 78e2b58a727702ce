"""``hwledger ledger`` and ``hwledger events`` as a user calls them, on files."""

import base64
import json
import sqlite3
import stat
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from hwledger.cli import run as call
from hwledger.ledger.chain import Head, entries
from hwledger.ledger.merkle import includes, root_of
from hwledger.ledger.note import VerifierKey, opened
from hwledger.ledger.sqlite import SqliteStore
from support.events import event, events
from support.process import run

pytestmark = pytest.mark.requirement("FR-LEDGER-CLI")
ORIGIN = "hwledger.example/cli"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a ledger of 20 events."""
    with SqliteStore(tmp_path / "ledger.db", origin=ORIGIN) as store:
        store.append(events(19))
        store.append([event(19, "model/a", "fleet.plan.created.v1", model="a")])
    return tmp_path / "ledger.db"


def said(capsys: pytest.CaptureFixture[str], code: int, *arguments: object) -> str:
    """Return what a call prints to where its outcome goes, after checking its exit code."""
    capsys.readouterr()
    assert call([str(one) for one in arguments]) == code
    out, err = capsys.readouterr()
    if code:
        assert err.count("\n") == 1
        assert "Traceback" not in err
    return err if code else out


def signed(capsys: pytest.CaptureFixture[str], path: Path) -> tuple[str, str]:
    """Return a checkpoint of a ledger and the key to check it with."""
    assert call(["ledger", "checkpoint", str(path)]) == 0
    out, err = capsys.readouterr()
    return out, err.rpartition(" ")[2].strip()


def test_verify_says_what_it_checked_and_what_it_could_not(
    capsys: pytest.CaptureFixture[str], path: Path
) -> None:
    """A whole ledger is whole, with the words about cut ends until a checkpoint was signed."""
    out = said(capsys, 0, "ledger", "verify", path)
    assert f"whole: {path}" in out
    assert "20 events" in out
    assert "could not be noticed" in out
    signed(capsys, path)
    assert "continues the checkpoint of 20" in said(capsys, 0, "ledger", "verify", path)
    found = json.loads(said(capsys, 0, "ledger", "verify", path, "--json"))
    assert found["schema"] == "hwledger.ledger-verify/1"
    assert (found["origin"], found["size"], found["checkpoints_kept"], found["checkpoint_seen"]) == (
        ORIGIN, 20, 1, 20,
    )  # fmt: skip


def changed(path: Path, *statements: str) -> None:
    """Change a ledger past its guards."""
    connection = sqlite3.connect(path)
    for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


ALTERED = {
    "altered": (
        ["UPDATE event SET body = CAST(replace(body, 'host/a', 'host/b') AS BLOB) WHERE seq = 7"],
        "event 7 is not what was written",
    ),
    "retyped": (["UPDATE event SET body = CAST(body AS TEXT) WHERE seq = 7"], "event 7 is not what was"),
    "renamed": (["UPDATE event SET subject = 'x' WHERE seq = 7"], "event 7 is listed under another name"),
    "deleted": (["DELETE FROM event WHERE seq = 7"], "event 7 is missing"),
    "reordered": (
        ["UPDATE event SET seq = 99 WHERE seq = 7", "UPDATE event SET seq = 7 WHERE seq = 8",
         "UPDATE event SET seq = 8 WHERE seq = 99"],
        "event 7 does not follow on event 6",
    ),
    "cut": (
        ["DELETE FROM event WHERE seq > 15", "DELETE FROM checkpoint",
         "DELETE FROM node WHERE (idx + 1) << level > 15"],
        "events 16 to 20 are missing",
    ),
    "foreign": (["PRAGMA application_id = 1"], "database of another program"),
    "newer": (["PRAGMA user_version = 3"], "written by a newer hwledger"),
}  # fmt: skip


@pytest.mark.parametrize("kind", ALTERED)
def test_what_is_not_whole_is_named_in_a_sentence(
    capsys: pytest.CaptureFixture[str], path: Path, kind: str
) -> None:
    """Each ends with exit code 4 and a sentence that says which event, or what else, and what to do."""
    signed(capsys, path)
    changed(path, *ALTERED[kind][0])
    sentence = said(capsys, 4, "ledger", "verify", path)
    assert ALTERED[kind][1] in sentence
    assert ";" in sentence or ":" in sentence


def test_files_that_are_no_ledger(capsys: pytest.CaptureFixture[str], path: Path, tmp_path: Path) -> None:
    """Nothing, a text, a cut file, and a folder: each command refuses them with exit code 4."""
    text = tmp_path / "text"
    text.write_text("no ledger")
    cut = tmp_path / "cut"
    cut.write_bytes(path.read_bytes()[:5000])
    for wrong in (tmp_path / "nothing", text, cut, tmp_path):
        for arguments in (["ledger", "verify", wrong], ["ledger", "prove", wrong, 1], ["events", wrong],
                          ["ledger", "export", wrong], ["ledger", "checkpoint", wrong],
                          ["ledger", "backup", wrong, tmp_path / "b"]):  # fmt: skip
            assert str(wrong) in said(capsys, 4, *arguments) or wrong == cut
    assert not (tmp_path / "b").exists()


def test_a_proof_convinces_with_nothing_but_itself(capsys: pytest.CaptureFixture[str], path: Path) -> None:
    """From the document alone, with plain SHA-256 and base64, the root of the signed checkpoint follows."""
    note, key = signed(capsys, path)
    found = json.loads(said(capsys, 0, "ledger", "prove", path, 20, "--json"))
    leaf = sha256(b"\0" + found["body"].encode()).digest()
    hashes = [base64.b64decode(one) for one in found["hashes"]]
    checkpoint = opened(found["checkpoint"], VerifierKey.read(key))
    assert found["checkpoint"] == note
    assert includes(leaf, found["index"], checkpoint.size, hashes, checkpoint.root)
    older = json.loads(said(capsys, 0, "ledger", "prove", path, 3, "--size", 7, "--json"))
    assert (older["size"], older["checkpoint"]) == (7, None)
    assert "event 3 is in the ledger" in said(capsys, 0, "ledger", "prove", path, 3)
    said(capsys, 2, "ledger", "prove", path, 3, "--size", 2)
    assert "has no event 21; it has 20" in said(capsys, 4, "ledger", "prove", path, 21)


def test_a_checkpoint_is_signed_once_and_its_key_is_private(
    capsys: pytest.CaptureFixture[str], path: Path, tmp_path: Path
) -> None:
    """The same size gives the same note; the key is only its owner's; another key is refused."""
    note, key = signed(capsys, path)
    assert signed(capsys, path) == (note, key)
    (key_file,) = _keys()
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert opened(note, VerifierKey.read(key)).size == 20
    assert "not signed by" in said(
        capsys, 4, "ledger", "checkpoint", path, "--key-file", tmp_path / "other.key"
    )
    with SqliteStore(path) as store:
        store.append(events(1, 50))
        assert "another process writes" in said(capsys, 4, "ledger", "checkpoint", path)
    assert signed(capsys, path)[0] != note


def _keys() -> Any:
    from hwledger.library.paths import data_dir  # noqa: PLC0415 - where the test's own folder is

    return data_dir().rglob("*.key")


def test_nothing_is_signed_that_contradicts_what_was(capsys: pytest.CaptureFixture[str], path: Path) -> None:
    """After an end was cut off, or history made anew, no further checkpoint is signed."""
    signed(capsys, path)
    changed(path, *ALTERED["cut"][0])
    assert "events 16 to 20 are missing" in said(capsys, 4, "ledger", "checkpoint", path)


def test_notes_from_elsewhere(capsys: pytest.CaptureFixture[str], path: Path, tmp_path: Path) -> None:
    """Another machine, which has only note and key, holds the ledger to them; without the key it says so."""
    note, key = signed(capsys, path)
    (tmp_path / "note").write_text(note)
    (tmp_path / "key").write_text(key)
    for one in list(_keys()):
        one.with_suffix(".note").unlink()
        one.unlink()
    assert "give it with --key" in said(capsys, 2, "ledger", "verify", path, "--note", tmp_path / "note")
    for given in (key, tmp_path / "key"):
        out = said(capsys, 0, "ledger", "verify", path, "--note", tmp_path / "note", "--key", given)
        assert "continues the checkpoint of 20" in out
    (tmp_path / "note").write_text(note.replace("\n20\n", "\n21\n"))
    wrong = said(capsys, 4, "ledger", "verify", path, "--note", tmp_path / "note", "--key", key)
    assert "false" in wrong
    said(capsys, 4, "ledger", "verify", path, "--note", tmp_path / "none", "--key", key)
    said(capsys, 4, "ledger", "verify", path, "--key", "a+b+c")


def test_an_export_is_checked_without_a_database(capsys: pytest.CaptureFixture[str], path: Path) -> None:
    """Lines are bodies, byte for byte: hashing them gives root and chain of the ledger."""
    command = [sys.executable, "-m", "hwledger", "ledger", "export", str(path)]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    bodies = raw.splitlines()
    made = entries(Head(), bodies)
    found = json.loads(said(capsys, 0, "ledger", "verify", path, "--json"))
    assert raw.endswith(b"\n")
    assert found["root"] == base64.b64encode(root_of([one.leaf for one in made])).decode()
    assert found["chain"] == made[-1].chain.hex()
    rest = subprocess.run([*command, "--after", "18"], capture_output=True, check=True).stdout
    assert rest.splitlines() == bodies[18:]


def test_backup_and_restore(capsys: pytest.CaptureFixture[str], path: Path, tmp_path: Path) -> None:
    """A backup is made while others write, is put back, and continues; what is missing is said."""
    target, back = tmp_path / "b" / "backup.db", tmp_path / "c" / "ledger.db"
    with SqliteStore(path) as store:
        assert "20 events" in said(capsys, 0, "ledger", "backup", path, target)
        store.append(events(5, 100))
    assert list(target.parent.iterdir()) == [target]
    assert "is not replaced" in said(capsys, 2, "ledger", "backup", path, target)
    signed(capsys, path)
    assert "is not replaced" in said(capsys, 2, "ledger", "restore", target, path)
    path.unlink()
    assert call(["ledger", "restore", str(target), str(back)]) == 0
    assert "events 21 to 25 were signed" in capsys.readouterr().err
    assert "events 21 to 25 are missing" in said(capsys, 4, "ledger", "verify", back)
    with SqliteStore(back) as store:
        assert store.append(events(1, 200))[0].seq == 21


def test_a_damaged_backup_is_not_put_back(
    capsys: pytest.CaptureFixture[str], path: Path, tmp_path: Path
) -> None:
    """It is checked before it counts, and nothing is left behind."""
    changed(path, *ALTERED["altered"][0])
    target = tmp_path / "new" / "ledger.db"
    assert "event 7" in said(capsys, 4, "ledger", "restore", path, target)
    assert "event 7" in said(capsys, 4, "ledger", "backup", path, target)
    assert [one.name for one in target.parent.iterdir() if not one.name.endswith(".lock")] == []


def test_events_are_listed_and_chosen(capsys: pytest.CaptureFixture[str], path: Path) -> None:
    """By type, subject, place and number; as a table that says that there is more, and as JSON."""
    out = said(capsys, 0, "events", path, "--limit", 5)
    assert "more: --after 5" in out
    assert out.count("host.online") == 5
    assert "model/a" in said(capsys, 0, "events", path, "--type", "plan.created")
    assert "no such event; the ledger has 20" in said(capsys, 0, "events", path, "--subject", "x")
    assert "unknown type of event" in said(capsys, 2, "events", path, "--type", "plan.made")
    found = json.loads(said(capsys, 0, "events", path, "--after", 18, "--json"))
    assert (found["schema"], found["origin"]) == ("hwledger.events/1", ORIGIN)
    assert [one["seq"] for one in found["events"]] == [19, 20]
    for one in found["events"]:
        assert sha256(b"\0" + one["body"].encode()).hexdigest() == one["leaf"]
    changed(path, *ALTERED["altered"][0])
    assert "event 7" in said(capsys, 4, "events", path)


def test_the_local_ledger(
    capsys: pytest.CaptureFixture[str], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without FILE it is that of HWLEDGER_LEDGER, or of the data folder; an address of others is refused."""
    assert "ledger.db" in said(capsys, 4, "ledger", "verify")
    monkeypatch.setenv("HWLEDGER_LEDGER", str(path))
    assert "20 events" in said(capsys, 0, "ledger", "verify")
    assert "host.online" in said(capsys, 0, "events")
    monkeypatch.setenv("HWLEDGER_LEDGER", "mysql://user:secret@host/db")
    assert "secret" not in said(capsys, 2, "events")


def test_in_a_process_of_its_own(path: Path) -> None:
    """From the shell it does the same, and a plan loads none of it."""
    done = run("ledger", "verify", str(path))
    assert (done.returncode, done.stderr) == (0, "")
    code = (
        "import sys; from hwledger.cli import run;"
        "run(['plan', 'Qwen/Qwen3-32B', '--engine', 'vllm', '--json']);"
        "print([name for name in sys.modules if name.startswith(('sqlalchemy', 'cryptography', 'orjson',"
        " 'sqlite3', 'hwledger.ledger', 'filelock'))], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
