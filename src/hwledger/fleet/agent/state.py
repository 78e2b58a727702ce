"""The folder of an agent, for its owner alone: who it is, its keys, its server, and what it was told to do.

Every file is written whole or not at all. Keys and certificates lie in a folder for each generation;
``current`` names the one in use, and changing it is the switch to a renewed certificate.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import filelock

from hwledger.errors import BusyError, InputError, MalformedError, MissingError
from hwledger.fleet.private import make_private, read_private, write_private
from hwledger.fleet.signing import key_pem, new_key, read_key

if TYPE_CHECKING:
    import ssl

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

_AGENT: Final = "agent.json"
_CURRENT: Final = "current"
_TOLD: Final = "commands.json"
_AUTHORITIES: Final = "authorities.pem"
_TROUBLE: Final = "trouble"
_MACHINE_IDS: Final = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
WITNESSED: Final = ("witness.note", "witness.alarm")
"""Files of ``agent.witness``."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """Who an agent is, and whose.

    Attributes:
        host: its id, a UUID.
        name: what it calls itself.
        server: ``host:port`` of the agents' listener.
        public: ``host:port`` of the public listener.
        trust_domain: of the fleet.
        checkpoint_key: who signs the ledger's checkpoints.
    """

    host: str
    name: str
    server: str
    public: str
    trust_domain: str
    checkpoint_key: str

    @property
    def source(self) -> str:
        """Return the SPIFFE id that its events are of."""
        return f"spiffe://{self.trust_domain}/agent/{self.host}"


class Home:
    """The folder of one agent.

    Args:
        folder: where; it is made where there is none.

    Raises:
        InputError: it cannot be made, or others may read it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if os.name != "nt" and folder.stat().st_mode & 0o077:
                raise InputError(f"{folder}: holds keys and others may read it; make it mode 0700")
        except OSError as error:
            raise InputError(f"{folder}: cannot be made ({error.strerror}); choose another folder") from None

    def locked(self) -> filelock.BaseFileLock:
        """Return the lock of the one agent that may run here, held.

        Raises:
            BusyError: another runs.
        """
        lock = filelock.FileLock(self.folder / "agent.lock", timeout=0, mode=0o600, thread_local=False)
        try:
            lock.acquire()
        except filelock.Timeout:
            raise BusyError(f"{self.folder}: an agent runs there already; stop it first") from None
        return lock

    def is_running(self) -> bool:
        """Return whether an agent runs here."""
        try:
            self.locked().release()
        except BusyError:
            return True
        return False

    def has_joined(self) -> bool:
        """Return whether this agent has joined a fleet."""
        return (self.folder / _AGENT).exists()

    def enrolment(self) -> Enrolment:
        """Return who this agent is.

        Raises:
            MissingError: it has not joined a fleet.
            MalformedError: its file is damaged.
        """
        path = self.folder / _AGENT
        if not self.has_joined():
            raise MissingError(f"{self.folder}: has joined no fleet; run hwledger agent join TOKEN")
        try:
            return Enrolment(**json.loads(read_private(path)))
        except (ValueError, TypeError):
            raise MalformedError(f"{path}: is damaged; join the fleet anew") from None

    def enrol(self, enrolment: Enrolment) -> None:
        """Keep who this agent is."""
        write_private(self.folder / _AGENT, json.dumps(asdict(enrolment), indent=1).encode())

    def following(self) -> "tuple[str, EllipticCurvePrivateKey]":
        """Return the generation after the one in use, with its key, which is on the disk already."""
        name = f"{int(self.current() or 0) + 1:06d}"
        path = self._place(name) / "key.pem"
        if not path.exists():
            path.parent.parent.mkdir(mode=0o700, exist_ok=True)
            write_private(path, key_pem(new_key()))
        return name, read_key(read_private(path))

    def discard(self, generation: str) -> None:
        """Delete a generation that is not in use: its key will never have a certificate."""
        if generation != self.current():
            shutil.rmtree(self._place(generation), ignore_errors=True)

    def _place(self, generation: str) -> Path:
        return self.folder / "identity" / generation

    def install(self, generation: str, certificate: str, authorities: str) -> None:
        """Switch to a generation; killed at any moment, it is the one before or this one, each whole."""
        write_private(self._place(generation) / "certificate.pem", certificate.encode())
        if authorities:
            write_private(self.folder / _AUTHORITIES, authorities.encode())
        before = self.current()
        write_private(self.folder / _CURRENT, generation.encode())
        for old in (self.folder / "identity").glob("[0-9]*"):
            if old.name not in {generation, before}:
                shutil.rmtree(old, ignore_errors=True)

    def current(self) -> str:
        """Return the name of the generation in use; empty: none.

        Raises:
            MalformedError: the file that names it is damaged.
        """
        path = self.folder / _CURRENT
        found = read_private(path).decode("ascii", "replace") if path.exists() else ""
        if found and not found.isdecimal():
            raise MalformedError(f"{path}: is damaged; join the fleet anew")
        return found

    def certificate(self) -> bytes:
        """Return the certificate in use, PEM.

        Raises:
            MissingError: there is none.
        """
        name = self.current()
        if not name:
            raise MissingError(f"{self.folder}: has no certificate; run hwledger agent join TOKEN")
        return read_private(self._place(name) / "certificate.pem")

    def key(self) -> "EllipticCurvePrivateKey":
        """Return the key in use."""
        return read_key(read_private(self._place(self.current()) / "key.pem"))

    def authorities(self) -> str:
        """Return the certificates that the server is known by, PEM."""
        return read_private(self.folder / _AUTHORITIES).decode()

    def context(self) -> "ssl.SSLContext":
        """Return how to speak to the server: TLS 1.3, its authority alone, with this host's certificate."""
        from hwledger.fleet.joining import server_context  # noqa: PLC0415 - start-up time

        context = server_context(self.authorities())
        place = self._place(self.current())
        context.load_cert_chain(place / "certificate.pem", place / "key.pem")
        return context

    def told(self) -> "Told":
        """Return how far the commands are that this host was given."""
        path = self.folder / _TOLD
        if not path.exists():
            return Told()
        try:
            return Told(**json.loads(read_private(path)))
        except (ValueError, TypeError):
            raise MalformedError(f"{path}: is damaged; delete it, and commands are asked for anew") from None

    def keep_told(self, told: "Told") -> None:
        """Keep how far the commands are; it is on the disk when this returns."""
        write_private(self.folder / _TOLD, json.dumps(asdict(told)).encode())

    def trouble(self) -> str:
        """Return why the agent cannot speak to its server, as it last said; empty: it can."""
        path = self.folder / _TROUBLE
        return read_private(path).decode("utf-8", "replace") if path.exists() else ""

    def keep_trouble(self, text: str) -> None:
        """Keep why the agent cannot speak to its server."""
        write_private(self.folder / _TROUBLE, text.encode())

    def machine(self) -> str:
        """Return SHA-256 of the id of this machine, hexadecimal; the id itself never leaves it."""
        for path in _MACHINE_IDS:
            if path.exists() and (found := path.read_text("ascii", "replace").strip()):
                return sha256(f"hwledger machine {found}".encode()).hexdigest()
        return sha256(make_private(self.folder / "machine", os.urandom(32))).hexdigest()

    def leave(self) -> None:
        """Delete keys, certificates and everything that waits to be sent."""
        for name in (_AGENT, _CURRENT, "identity", _TOLD, _AUTHORITIES, _TROUBLE, *WITNESSED):
            path = self.folder / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        for path in self.folder.glob("spool.*"):
            path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Told:
    """How far the commands are that a host was given.

    Attributes:
        fence: of the last one that was begun; no other with it or below is ever begun.
        begun: id of the one that is being done; empty: none.
        answers: by id: fence, result and detail, until the server has them.
    """

    fence: int = 0
    begun: str = ""
    answers: Mapping[str, Any] = field(default_factory=dict)
