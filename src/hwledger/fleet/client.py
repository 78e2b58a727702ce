"""The API of a server, as the command line asks for it: errors in sentences, what is posted done once."""

import json
import os
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote, urlencode, urlsplit

from hwledger import errors
from hwledger.fleet.running import admin_token_path, found_running, read_token
from hwledger.fleet.secret import Secret
from hwledger.ledger.chain import Entry, Head, next_entry

SERVER: Final = "HWLEDGER_SERVER"
TOKEN: Final = "HWLEDGER_TOKEN"  # noqa: S105 - the name of a variable
SECONDS: Final = 30.0
SILENT_SECONDS: Final = 45.0
"""A stream that is silent for so long is dead: the server says something each 15 s."""
TRIES: Final = 3
PAGE: Final = 1000
MARK: Final = "Hwledger-Api"
"""A header that every reply of a server of hwledger has."""
_LARGEST_REPLY: Final = 64 << 20
_KINDS: Final[Mapping[int, type[errors.HwledgerError]]] = {
    400: errors.MalformedError, 401: errors.DeniedError, 403: errors.DeniedError, 404: errors.MissingError,
    409: errors.ConflictError, 413: errors.TooLargeError, 422: errors.UsageError, 503: errors.BusyError,
    507: errors.FullError,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entrance:
    """Where a server is, and what lets one in.

    Attributes:
        address: ``http://127.0.0.1:8470``, or ``https://host:8471``.
        token: of a user.
        authority: SHA-256 of the authority's certificate that vouches for the server, in base64url; empty:
            those that this machine trusts.
        known_by: what says that it is there, for sentences.
    """

    address: str
    token: Secret = field(repr=False)
    authority: str = ""
    known_by: str = SERVER

    @classmethod
    def found(cls, folder: Path, environ: Mapping[str, str] = os.environ) -> Self:
        """Return the server that is named in the environment, or that runs on this machine.

        Args:
            folder: where a server of this machine says that it runs.
            environ: ``HWLEDGER_SERVER`` (``https://host:8471#authority``) and ``HWLEDGER_TOKEN``.

        Raises:
            UsageError: what is named cannot be a server, or a token is missing.
            UnreachableError: none runs here.
            InputError: its token cannot be read.
        """
        named = environ.get(SERVER)
        if named:
            token = environ.get(TOKEN, "")
            if not token:
                raise errors.UsageError(
                    f"{SERVER} is set and {TOKEN} is not; ask for one: hwledger user create"
                )
            address, _, authority = named.partition("#")
            return cls(_checked(address.rstrip("/")), Secret(token), authority)
        running = found_running(folder)
        if running is None:
            raise errors.UnreachableError(
                f"no server runs here; start one with hwledger up, or set {SERVER} and {TOKEN} for another"
            )
        path = admin_token_path(folder)
        return cls(running.address, Secret(read_token(path)), known_by=str(folder / "server.json"))


def _checked(address: str) -> str:
    """Return an address over which a token may be sent.

    Raises:
        UsageError: it is none, or everybody on the way would read the token.
    """
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        parts, host = urlsplit(""), ""
    if parts.scheme not in {"http", "https"} or not host or parts.path or parts.query or parts.username:
        raise errors.UsageError(f"{SERVER} is no address of a server; it is like https://host:8471#…")
    if parts.scheme == "http" and not _is_here(host):
        raise errors.UsageError(
            f"{SERVER}: a token is not sent to {host} without TLS; use https://{host}:8471"
        )
    return address


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered."""

    status: int
    document: Any


class Client:
    """Asks one server."""

    def __init__(self, entrance: Entrance, seconds: float = SECONDS) -> None:
        self._entrance, self._seconds = entrance, seconds
        self._context: ssl.SSLContext | None = None

    @property
    def address(self) -> str:
        """Return where the server is."""
        return self._entrance.address

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        """Return a document.

        Raises:
            HwledgerError: the server does not answer, or answers with a problem.
        """
        return json.loads(self._asked("GET", path + _query(query)))

    def lines(self, path: str, query: Mapping[str, Any] | None = None) -> list[Any]:
        """Return the documents of a reply that has one a line.

        Raises:
            HwledgerError: as ``get``.
        """
        return [json.loads(line) for line in self._asked("GET", path + _query(query)).splitlines()]

    def post(self, path: str, body: Mapping[str, Any] | None = None, *, method: str = "POST") -> Any:
        """Return the document of something that was done, once, however often the connection broke.

        Raises:
            HwledgerError: as ``get``.
        """
        key, raw = os.urandom(16).hex(), json.dumps(body or {}).encode()
        for _ in range(TRIES - 1):
            try:
                return json.loads(self._asked(method, path, raw, {"Idempotency-Key": key}))
            except errors.DeniedError:
                raise
            except errors.UnreachableError:
                time.sleep(0.2)
        return json.loads(self._asked(method, path, raw, {"Idempotency-Key": key}))

    def events(self, *, after: int, limit: int, types: Sequence[str] = (), subject: str = "") -> list[Entry]:
        """Return events, each held against its hashes.

        Raises:
            AlteredError: an event is not what the ledger has.
            HwledgerError: as ``get``.
        """
        query = {"after": after, "limit": limit, "type": list(types), "subject": subject}
        checked = Checked()
        return [checked.entry(one) for one in self.lines("/v1/ledger/events", query)]

    def all_events(
        self, *, after: int, limit: int, types: Sequence[str] = (), subject: str = ""
    ) -> list[Entry]:
        """Return events of as many pages as it takes.

        Raises:
            HwledgerError: as ``events``.
        """
        return _paged(
            lambda begin, size: self.events(after=begin, limit=size, types=types, subject=subject),
            after,
            limit,
        )

    def history(self, name: str, *, after: int, limit: int) -> list[Entry]:
        """Return what is on record of a model or a host, of as many pages as it takes.

        Raises:
            HwledgerError: as ``events``.
        """
        checked = Checked()

        def page(begin: int, size: int) -> list[Entry]:
            found = self.get(f"/v1/history/{quote(name)}", {"after": begin, "limit": size})
            return [checked.entry(one) for one in found["events"]]

        return _paged(page, after, limit)

    def origin(self) -> str:
        """Return the name of the ledger.

        Raises:
            HwledgerError: as ``get``.
        """
        return str(self.get("/v1/me")["origin"])

    def stream(self, *, after: int | None, types: Sequence[str] = (), subject: str = "") -> Iterator[Entry]:
        """Yield events as they are added, each held against its hashes, until the connection ends.

        Args:
            after: begin after this one; ``None``: with what comes now.
            types: of these alone; none: of all.
            subject: of this alone; empty: of all.

        Raises:
            AlteredError: an event is not what the ledger has.
            HwledgerError: as ``get``.
        """
        query = {"after": after, "type": list(types), "subject": subject}
        connection = self._connection(SILENT_SECONDS)
        checked = Checked()
        try:
            reply = self._sent(connection, "GET", f"/v1/stream{_query(query)}", None, {})
            while line := self._line(reply):
                if line.startswith(b"data: "):
                    yield checked.entry(json.loads(line.removeprefix(b"data: ")))
        finally:
            connection.close()

    def _line(self, reply: HTTPResponse) -> bytes:
        try:
            return reply.readline(_LARGEST_REPLY)
        except (OSError, HTTPException) as error:
            raise self._silent(error) from None

    def _asked(
        self, method: str, path: str, body: bytes | None = None, more: Mapping[str, str] | None = None
    ) -> bytes:
        connection = self._connection(self._seconds)
        try:
            reply = self._sent(connection, method, path, body, more or {})
            raw = reply.read(_LARGEST_REPLY + 1)
        except (OSError, HTTPException) as error:
            raise self._silent(error) from None
        finally:
            connection.close()
        return raw

    def _sent(
        self, connection: HTTPConnection, method: str, path: str, body: bytes | None, more: Mapping[str, str]
    ) -> HTTPResponse:
        headers = {"Authorization": f"Bearer {self._entrance.token.reveal()}", **more}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, path, body, headers)
            reply = connection.getresponse()
            if reply.headers.get(MARK) is None:
                raise errors.UnreachableError(
                    f"what answers at {self._entrance.address} is no server of hwledger; check the address"
                    f" ({self._entrance.known_by})"
                )
            if reply.status >= 400:  # noqa: PLR2004 - the first that is an error
                raise _problem(reply.status, reply.read(_LARGEST_REPLY))
        except ssl.SSLCertVerificationError as error:
            raise errors.DeniedError(
                f"{self._entrance.address} does not show the certificate of the server that was meant"
                f" ({error.verify_message}); no token was sent"
            ) from None
        except (OSError, HTTPException, UnicodeError) as error:
            raise self._silent(error) from None
        return reply

    def _silent(self, error: Exception) -> errors.UnreachableError:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        known = self._entrance.known_by
        hint = f"is it up? ({known} says so)" if known != SERVER else f"check {SERVER}"
        return errors.UnreachableError(
            f"the server at {self._entrance.address} does not answer ({why}); {hint}"
        )

    def _connection(self, seconds: float) -> HTTPConnection:
        parts = urlsplit(self._entrance.address)
        host = parts.hostname or ""
        if parts.scheme == "http":
            return HTTPConnection(host, parts.port, timeout=seconds)
        if self._context is None:
            self._context = _tls(host, parts.port or 443, self._entrance.authority)
        return HTTPSConnection(host, parts.port, timeout=seconds, context=self._context)


def _paged(page: Callable[[int, int], list[Entry]], after: int, limit: int) -> list[Entry]:
    """Return at most so many entries after one, page by page."""
    found: list[Entry] = []
    while len(found) < limit:
        size = min(PAGE, limit - len(found))
        some = page(found[-1].seq if found else after, size)
        found += some
        if len(some) < size:
            break
    return found


def _tls(host: str, port: int, authority: str) -> ssl.SSLContext:
    """Return the context of a server: vouched for by the authority of a hash, or by this machine's.

    Raises:
        HwledgerError: as ``joining.vouched``.
    """
    if not authority:
        return ssl.create_default_context()
    from hwledger.fleet.joining import server_context, vouched  # noqa: PLC0415 - start-up time
    from hwledger.fleet.wire.tokens import JoinToken, decoded  # noqa: PLC0415 - start-up time

    token = JoinToken(decoded(authority, "the authority's hash"), b"", host, port)
    return server_context(vouched(token))


def _problem(status: int, raw: bytes) -> errors.HwledgerError:
    try:
        detail = str(json.loads(raw)["detail"])
    except (ValueError, KeyError, TypeError):
        detail = f"the server answers with status {status}"
    return _KINDS.get(status, errors.UnreachableError)(detail)


def _query(query: Mapping[str, Any] | None) -> str:
    told = {name: value for name, value in (query or {}).items() if value not in (None, "", [])}
    return f"?{urlencode(told, doseq=True)}" if told else ""


class Checked:
    """Holds entries of one server against their hashes, and against the one before where it is next to it."""

    def __init__(self) -> None:
        self._before: Entry | None = None

    def entry(self, document: Mapping[str, Any]) -> Entry:
        """Return an entry of a document.

        Raises:
            AlteredError: it is not what the ledger has.
        """
        try:
            body = document["body"].encode()
            leaf, chain = bytes.fromhex(document["leaf"]), bytes.fromhex(document["chain"])
            found = Entry(int(document["seq"]), body, leaf, chain)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise errors.UnreachableError(
                "the server sends what is no event; install the same hwledger"
            ) from None
        before = self._before
        if sha256(b"\0" + body).digest() != leaf or (
            before is not None
            and found.seq == before.seq + 1
            and next_entry(Head(before.seq, before.chain), body).chain != chain
        ):
            raise errors.AlteredError(
                f"event {found.seq} is not what its hashes say; verify the ledger", found.seq
            )
        self._before = found
        return found
