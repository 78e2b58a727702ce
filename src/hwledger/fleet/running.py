"""Where the server of this machine runs: a small file in its folder, for the command line."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from hwledger.errors import InputError, MalformedError
from hwledger.fleet.private import write_private

SCHEMA: Final = "hwledger.server/1"
_CONNECT_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Running:
    """A server that runs, or ran until it was killed.

    Attributes:
        address: of its local listener: ``http://127.0.0.1:8470``.
        pid: of its process.
        ledger: the file or address of its ledger, without a password.
        version: of hwledger.
        public: address of its public listener; empty: it has none.
        agents: address of its agents' listener; empty: it has none.
    """

    address: str
    pid: int
    ledger: str
    version: str
    public: str = ""
    agents: str = ""


def running_path(folder: Path) -> Path:
    """Return where a server says that it runs."""
    return folder / "server.json"


def say_running(folder: Path, running: Running) -> None:
    """Write where a server runs; only its owner reads it.

    Raises:
        InputError: it cannot be written.
    """
    document = {"schema": SCHEMA, **asdict(running)}
    write_private(running_path(folder), json.dumps(document, indent=2).encode() + b"\n")


def found_running(folder: Path) -> Running | None:
    """Return the server that said it runs here; ``None``: none did. Whether it answers is another question.

    Raises:
        MalformedError: the file holds something else.
    """
    path = running_path(folder)
    try:
        document: Any = json.loads(path.read_bytes())
        return Running(**{name: document[name] for name in Running.__dataclass_fields__ if name in document})
    except OSError:
        return None
    except (ValueError, TypeError):
        raise MalformedError(
            f"{path}: does not say where a server runs; delete it, then hwledger up"
        ) from None


def is_running(folder: Path) -> bool:
    """Return whether a server said that it runs here, and somebody listens where it said; it may be stuck."""
    import socket  # noqa: PLC0415 - start-up time

    found = found_running(folder)
    if found is None:
        return False
    parts = urlsplit(found.address)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 0), _CONNECT_SECONDS).close()
    except (OSError, ValueError):
        return False  # it was killed: what says that it runs is stale
    return True


def unsay_running(folder: Path, pid: int) -> None:
    """Take the file away, where it is of this process."""
    found = found_running(folder)
    if found is not None and found.pid == pid:
        running_path(folder).unlink(missing_ok=True)


def admin_token_path(folder: Path) -> Path:
    """Return where the token lies by which the command line of the server's machine comes in."""
    return folder / "admin.token"


def read_token(path: Path) -> str:
    """Return the token in a file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise InputError(f"{path}: the token cannot be read ({why})") from None
