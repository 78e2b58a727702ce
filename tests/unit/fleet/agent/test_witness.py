"""The agent as a witness: what it takes, what it refuses, and what it remembers."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hwledger.errors import MalformedError
from hwledger.fleet.agent.witness import Witness
from hwledger.ledger.memory import MemoryStore
from hwledger.ledger.merkle import consistency_proof, root_at
from hwledger.ledger.note import Checkpoint, signed, verifier_key
from support.events import event

pytestmark = pytest.mark.requirement("FR-AGENT-WITNESS")
KEY = Ed25519PrivateKey.from_private_bytes(b"1" * 32)
NAME = "example.org/ledger"
PUBLIC = verifier_key(NAME, KEY).text()


class Ledger:
    """A ledger of so many events; another history where it is told so."""

    def __init__(self, size: int, other_from: int = 1 << 30) -> None:
        self._store = MemoryStore()
        self._store.append([event(n, text="other" if n >= other_from else "") for n in range(size)])

    def shown(self, size: int, seen: int = 0, key: Ed25519PrivateKey = KEY) -> tuple[str, list[bytes]]:
        """Return the note of a size, with the proof that it continues what was seen."""
        note = signed(Checkpoint(NAME, size, root_at(size, self._store.node)), key)
        return note, consistency_proof(seen, size, self._store.node) if 0 < seen < size else []


def test_what_goes_on_is_kept(tmp_path: Path) -> None:
    """The first checkpoint is taken on trust, each next one with its proof, over restarts."""
    ledger = Ledger(9)
    assert Witness(tmp_path, PUBLIC).look(*ledger.shown(4))
    witness = Witness(tmp_path, PUBLIC)
    assert witness.seen is not None
    assert witness.seen.size == 4
    assert witness.look(*ledger.shown(9, 4))
    assert witness.look(*ledger.shown(9))
    again = Witness(tmp_path, PUBLIC)
    assert again.seen == witness.seen
    assert (again.seen.size if again.seen else 0, again.alarm) == (9, None)


@pytest.mark.parametrize(
    ("shown", "reason", "seq"),
    [
        (Ledger(9).shown(6), "events 7 to 9 are missing", 7),
        (Ledger(12, other_from=5).shown(12, 9), "does not continue", None),
        (Ledger(9, other_from=5).shown(9), "does not continue", None),
        (Ledger(12).shown(12), "does not continue", None),
        ((None, []), "shows no checkpoint", None),
        (Ledger(9).shown(12 - 3, key=Ed25519PrivateKey.from_private_bytes(b"2" * 32)), "", None),
        (("garbage", []), "", None),
    ],
    ids=["shorter", "forked and longer", "forked", "no proof", "nothing", "another key", "garbage"],
)
def test_what_does_not_go_on_is_refused(
    tmp_path: Path, shown: tuple[str | None, list[bytes]], reason: str, seq: int | None
) -> None:
    """It is an alarm with both notes, which sticks over restarts and ends when the history is back."""
    ledger, witness = Ledger(12), Witness(tmp_path, PUBLIC)
    witness.look(*ledger.shown(9))
    assert not witness.look(*shown)
    alarm = Witness(tmp_path, PUBLIC).alarm
    assert alarm == witness.alarm
    assert alarm is not None
    assert reason in alarm["reason"]
    assert (alarm["seen"], alarm["shown"]) == (ledger.shown(9)[0], shown[0] or "")
    if seq:
        assert alarm["seq"] == seq
    again = Witness(tmp_path, PUBLIC)
    assert not again.look(*Ledger(3).shown(3))
    assert again.alarm == alarm
    assert again.seen is not None
    assert again.seen.size == 9
    assert again.look(*ledger.shown(12, 9))
    assert (again.alarm, Witness(tmp_path, PUBLIC).alarm) == (None, None)


def test_damaged_files(tmp_path: Path) -> None:
    """A note that is not by the key is an error; an alarm whose record is damaged stays an alarm."""
    witness = Witness(tmp_path, PUBLIC)
    witness.look(*Ledger(3).shown(3))
    witness.look(None, [])
    (tmp_path / "witness.alarm").write_bytes(b"{")
    found = Witness(tmp_path, PUBLIC).alarm
    assert found is not None
    assert "damaged" in found["reason"]
    (tmp_path / "witness.note").write_bytes(b"no note")
    with pytest.raises(MalformedError):
        Witness(tmp_path, PUBLIC)


def test_an_operator_lets_it_forget(tmp_path: Path) -> None:
    """After that the next checkpoint is taken on trust."""
    witness = Witness(tmp_path, PUBLIC)
    witness.look(*Ledger(9).shown(9))
    assert not witness.look(*Ledger(5, other_from=1).shown(5))
    witness.forget()
    assert Witness(tmp_path, PUBLIC).look(*Ledger(5, other_from=1).shown(5))


def test_a_full_disk_keeps_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a checkpoint cannot be written it still is held to in memory, and the older one on the disk."""
    ledger, witness = Ledger(9), Witness(tmp_path, PUBLIC)
    witness.look(*ledger.shown(4))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        assert witness.look(*ledger.shown(9, 4))
        assert not witness.look(*ledger.shown(6))
    assert (witness.seen.size if witness.seen else 0, witness.alarm is None) == (9, False)
    kept = Witness(tmp_path, PUBLIC).seen
    assert (kept.size if kept else 0) == 4
