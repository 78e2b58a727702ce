"""The agent as a witness: it keeps the last checkpoint it saw, and holds its server to it.

A server whose ledger was put back to an old copy, was cut, or goes on from another history is refused:
nothing is sent to it but heartbeats that say so, and everything else stays in the spool.
"""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hwledger.errors import AlteredError, InputError, MalformedError
from hwledger.fleet.agent.state import WITNESSED
from hwledger.fleet.private import read_private, write_private
from hwledger.ledger.note import Checkpoint, VerifierKey, opened
from hwledger.ledger.witness import witness

log = logging.getLogger("hwledger.agent")


class Witness:
    """What an agent saw of the ledger, in a folder.

    Args:
        folder: the agent's.
        key: who signs the ledger's checkpoints, as the enrolment said: one line ``name+id+key``.

    Raises:
        MalformedError: the key is none, or what was kept is not by it.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self._key = VerifierKey.read(key)
        self._note_path, self._alarm_path = (folder / name for name in WITNESSED)
        self._note = read_private(self._note_path).decode() if self._note_path.exists() else ""
        self._seen = opened(self._note, self._key) if self._note else None
        self._alarm = _read_alarm(self._alarm_path)

    @property
    def seen(self) -> Checkpoint | None:
        """Return what was last seen and kept; ``None``: nothing yet."""
        return self._seen

    @property
    def alarm(self) -> dict[str, Any] | None:
        """Return what is wrong with the ledger, as a heartbeat says it; ``None``: nothing."""
        return self._alarm

    def look(self, note: str | None, proof: Sequence[bytes]) -> bool:
        """Hold what a server shows against what was seen; return whether it goes on from it.

        What goes on is on the disk when this returns, and an alarm that was raised is over. What does
        not is kept beside it, as the evidence: the first time, until the alarm is over.

        Args:
            note: the signed checkpoint; ``None``: it shows none, which only a new server may.
            proof: that it continues what was seen.
        """
        try:
            shown = self._shown(note)
            kept = None if shown is None else witness(self._seen, shown, proof)
        except MalformedError as error:
            self._raise(error, note or "")
            return False
        if kept is not None and kept != self._seen:
            self._note, self._seen = note or "", kept
            self._write(self._note_path, self._note)
        self._settle()
        return True

    @staticmethod
    def _write(path: Path, text: str) -> None:
        """Write a file; on a full disk the one before stays, which is held against a server just as well."""
        try:
            write_private(path, text.encode())
        except InputError as error:
            log.warning("%s", error)

    def _shown(self, note: str | None) -> Checkpoint | None:
        if note is not None:
            return opened(note, self._key)
        if self._seen is not None:
            raise AlteredError(
                f"the server shows no checkpoint of {self._seen.origin}, and {self._seen.size} events were"
                " seen: its ledger may be another; ask its operator",
                None,
            )
        return None

    def _raise(self, error: MalformedError, shown: str) -> None:
        if self._alarm is not None:
            return  # the first evidence stands: a ledger that grows on would be another alarm each time
        alarm: dict[str, Any] = {"reason": str(error)[:1000], "seen": self._note, "shown": shown[:1024]}
        seq = getattr(error, "seq", None)
        if seq is not None:
            alarm["seq"] = seq
        self._alarm = alarm
        self._write(self._alarm_path, json.dumps(alarm))

    def _settle(self) -> None:
        if self._alarm is not None:
            self._alarm_path.unlink(missing_ok=True)
            self._alarm = None

    def forget(self) -> None:
        """Forget what was seen, by the word of an operator: the next checkpoint is taken on trust."""
        for path in (self._note_path, self._alarm_path):
            path.unlink(missing_ok=True)
        self._note, self._seen, self._alarm = "", None, None


def _read_alarm(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        found = json.loads(read_private(path))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        return {"reason": "an alarm was raised, and its record is damaged", "seen": "", "shown": ""}
    return found
