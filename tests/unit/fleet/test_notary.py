"""The notary: a note a second at most, each continues the one before, and an old copy is not signed."""

import threading
from pathlib import Path

import pytest

from hwledger.errors import AlteredError, HwledgerError, InputError, MalformedError
from hwledger.fleet.context import Fleet
from hwledger.fleet.notary import Notary
from hwledger.fleet.views import projections
from hwledger.ledger.keys import note_path
from hwledger.ledger.memory import MemoryStore
from hwledger.ledger.note import VerifierKey, opened
from hwledger.ledger.witness import witness
from support.fleets import SECOND, Site, site

pytestmark = pytest.mark.requirement("FR-FLEET-NOTARY")


@pytest.fixture
def here(tmp_path: Path) -> Site:
    """Return a fleet in memory with one event."""
    found = site(tmp_path)
    found.token()
    return found


def _key(notary: Notary) -> VerifierKey:
    return VerifierKey.read(notary.key)


def test_a_note_is_signed_by_the_key_that_hosts_keep(here: Site, tmp_path: Path) -> None:
    """It says how long the ledger is; opened again the notary has the same key and note."""
    notary = Notary(here.fleet, tmp_path / "keys")
    shown = opened(notary.note(), _key(notary))
    assert (shown.origin, shown.size) == (here.fleet.store.origin, 1)
    again = Notary(here.fleet, tmp_path / "keys")
    assert (again.key, again.note()) == (notary.key, notary.note())
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "keys").iterdir()} == {0o600}


def test_at_most_one_note_a_second(here: Site, tmp_path: Path) -> None:
    """Within a second the last note is shown again; after it the newest; without new events the same."""
    notary = Notary(here.fleet, tmp_path / "keys")
    first = notary.note()
    here.token()
    assert notary.note() == first
    here.clock.now += SECOND
    second = notary.note()
    assert opened(second, _key(notary)).size == 2
    here.clock.now += SECOND
    assert notary.note() == second


def test_each_note_continues_what_somebody_saw(here: Site, tmp_path: Path) -> None:
    """From every earlier size the proof convinces a witness that keeps the note of that size."""
    notary = Notary(here.fleet, tmp_path / "keys")
    seen = {}
    for _ in range(20):
        here.clock.now += SECOND
        here.token()
        shown = opened(notary.note(), _key(notary))
        seen[shown.size] = shown
    for size, kept in seen.items():
        note, proof = notary.proof(size)
        assert witness(kept, opened(note, _key(notary)), proof).size == max(seen)
    assert notary.proof(0) == (notary.note(), [])


def test_a_size_that_is_newer_than_the_note(here: Site, tmp_path: Path) -> None:
    """Somebody was shown more within the second: the notary catches up; beyond the ledger it is an alarm."""
    notary = Notary(here.fleet, tmp_path / "keys")
    notary.note()
    here.token()
    note, proof = notary.proof(2)
    assert (opened(note, _key(notary)).size, proof) == (2, [])
    with pytest.raises(AlteredError, match="old copy"):
        notary.proof(3)


def _another(here: Site, tmp_path: Path, tokens: int) -> Fleet:
    """Return a fleet with the same ledger's name and other events."""
    store = MemoryStore(origin=here.fleet.store.origin, projections=projections())
    other = site(tmp_path / "other", store)
    for _ in range(tokens):
        other.token()
    return other.fleet


@pytest.mark.parametrize("tokens", [0, 1, 3, 4, 9])
def test_another_history_is_not_signed(here: Site, tmp_path: Path, tokens: int) -> None:
    """A ledger that is shorter than what was signed, or as long, or longer but not a continuation."""
    for _ in range(3):
        here.token()
    notary = Notary(here.fleet, tmp_path / "keys")
    kept = notary.note()
    other = Notary(_another(here, tmp_path, tokens), tmp_path / "keys")
    for _ in range(2):
        with pytest.raises(AlteredError):
            other.note()
    with pytest.raises(AlteredError):
        other.proof(1)
    assert note_path(tmp_path / "keys", here.fleet.store.origin).read_text() == kept


def test_a_damaged_note_or_key_is_said(here: Site, tmp_path: Path) -> None:
    """A note that was changed, and one of another key, do not pass for the last that was signed."""
    notary = Notary(here.fleet, tmp_path / "keys")
    path = note_path(tmp_path / "keys", here.fleet.store.origin)
    whole = notary.note()
    foreign = Notary(here.fleet, tmp_path / "foreign").note()
    for text in (whole.replace("\n1\n", "\n2\n"), foreign, whole[:-20], "x"):
        path.write_text(text)
        with pytest.raises(MalformedError):
            Notary(here.fleet, tmp_path / "keys")


def test_a_note_that_cannot_be_kept_is_not_shown(
    here: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was shown and not kept could be contradicted later; so the disk comes first."""
    notary = Notary(here.fleet, tmp_path / "keys")
    first = notary.note()
    here.token()
    here.clock.now += SECOND

    def full(*_: object) -> None:
        raise InputError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("hwledger.fleet.notary.write_private", full)
        with pytest.raises(HwledgerError, match="full"):
            notary.note()
    assert opened(notary.note(), _key(notary)).size == 2
    assert first != notary.note()


def test_asked_by_many_at_once(here: Site, tmp_path: Path) -> None:
    """While events come in, no two of the notes that threads are shown contradict each other."""
    notary, notes = Notary(here.fleet, tmp_path / "keys"), []

    def ask() -> None:
        for _ in range(20):
            here.clock.now += SECOND
            here.token()
            notes.append(notary.note())

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sizes = {opened(note, _key(notary)) for note in notes}
    assert len({shown.size for shown in sizes}) == len(sizes)
