"""The one who signs: what the ledger is now, never anything that contradicts what was signed before.

The key and the last note lie in a folder outside of the database. A ledger that is put back to an old copy
does not continue that note, and is not signed any more.
"""

import threading
from pathlib import Path
from typing import Final

from hwledger.errors import AlteredError
from hwledger.fleet.context import Fleet
from hwledger.fleet.private import write_private
from hwledger.ledger.keys import key_path, note_path, signing_key, text_of
from hwledger.ledger.merkle import consistency_proof, root_at
from hwledger.ledger.note import Checkpoint, opened, signed, verifier_key
from hwledger.ledger.witness import witness

_SECOND: Final = 1_000_000
_KEPT_EVERY: Final = 3600 * _SECOND
"""How often a note also goes into the ledger's file; each new one is beside the key, and with the agents."""


class Notary:
    """Signs checkpoints of a fleet's ledger, at most one a second."""

    def __init__(self, fleet: Fleet, key_folder: Path) -> None:
        """Open the key, made there first where there is none, and the last note.

        Raises:
            MalformedError: the key or the note is damaged, or of another ledger.
            InputError: they cannot be read or written.
        """
        self._fleet = fleet
        origin = fleet.store.origin
        self._key = signing_key(key_path(key_folder, origin), origin)
        self._path = note_path(key_folder, origin)
        self._public = verifier_key(origin, self._key)
        self._note = text_of(self._path) if self._path.exists() else ""
        self._seen = opened(self._note, self._public) if self._note else None
        self._held = False
        self._signed = self._kept = fleet.clock() - _KEPT_EVERY
        self._lock = threading.Lock()

    @property
    def key(self) -> str:
        """Return who signs, as agents keep it: one line ``name+id+key``."""
        return self._public.text()

    def note(self) -> str:
        """Return the newest signed checkpoint; a new one where the last is a second old and events came.

        Raises:
            AlteredError: the ledger does not continue what was signed last; nothing is signed.
            InputError: the note cannot be written beside the key; nothing new is shown.
        """
        with self._lock:
            now = self._fleet.clock()
            if not self._held or now - self._signed >= _SECOND or now < self._signed:
                self._sign(now)
            return self._note

    def proof(self, from_size: int) -> tuple[str, list[bytes]]:
        """Return the newest signed checkpoint, and what shows that it continues the ledger of a size.

        Args:
            from_size: that somebody has seen; 0: nothing.

        Raises:
            AlteredError: as in ``note``, and where somebody has seen more than there is.
        """
        note = self.note()
        size = opened(note, self._public).size
        if from_size > size:
            size = self._caught_up(from_size)
            note = self._note
        if not 0 < from_size < size:
            return note, []
        return note, consistency_proof(from_size, size, self._fleet.store.node)

    def _caught_up(self, seen: int) -> int:
        with self._lock:
            self._sign(self._fleet.clock())
            size = self._seen.size if self._seen else 0
        if seen > size:
            raise AlteredError(
                f"somebody has seen {seen} events of this ledger and it has {size}: an old copy was put back;"
                " find the newer one",
                size + 1,
            )
        return size

    def _sign(self, now: int) -> None:
        size = self._fleet.store.head().seq
        if self._held and self._seen is not None and self._seen.size == size:
            return
        shown = Checkpoint(self._public.name, size, root_at(size, self._fleet.store.node))
        before = self._seen.size if self._seen else 0
        proof = consistency_proof(before, size, self._fleet.store.node) if 0 < before < size else []
        seen = witness(self._seen, shown, proof)
        if seen != self._seen:
            note = signed(shown, self._key)
            write_private(self._path, note.encode())
            self._note = note
        self._seen, self._held, self._signed = seen, True, now
        if now - self._kept >= _KEPT_EVERY:
            self._fleet.store.keep_note(self._note, size)
            self._kept = now
