"""The agent's end of the wire: one connection that stays open, JSON, packed where it is long."""

import gzip
import random
import socket
import ssl
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, RemoteDisconnected
from typing import Any, Final

import orjson

from hwledger.errors import UnreachableError
from hwledger.fleet.wire.tokens import read_address

LARGEST_ANSWER: Final = 1 << 20
LONGEST_BACK_OFF_SECONDS: Final = 60.0
PACKED_ABOVE: Final = 512
ANSWER_SECONDS: Final = 45.0
"""For an answer: where thousands come back at once, who gives up too early queues up once more."""
_GONE: Final = frozenset({401, 403})


class RefusedError(UnreachableError):
    """The server answers and says no.

    Attributes:
        status: of HTTP.
        detail: its own words.
        final: what was sent will never be taken; else the same may be sent again later.
        denied: it is the host that is refused, whatever it sends.
        after_seconds: when the server wants to be asked again; 0: it does not say.
    """

    def __init__(self, message: str, status: int, detail: str = "", after_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        self.detail = detail
        self.denied = status in _GONE
        self.final = 400 <= status < 500 and status not in {401, 403, 404, 408, 425, 426, 429}  # noqa: PLR2004 - faults of who asks
        self.after_seconds = after_seconds


class TurnedAwayError(UnreachableError):
    """The server ends a new connection before it answers: the certificate may have run out, by its clock.

    It cannot say so: by TLS 1.3 a host is done with its handshake before the server sees the certificate.
    """


class Client:
    """Requests to the agents' listener of one server, by one thread; any thread may interrupt them.

    Args:
        address: ``host:port``.
        context: with the certificate of this host; ``None`` for plain HTTP, in tests.
        headers: sent with each request.
        seconds: to wait for an answer; a long poll waits longer.
    """

    def __init__(
        self,
        address: str,
        context: ssl.SSLContext | None,
        headers: Mapping[str, str] | None = None,
        seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._address, self._seconds, self._headers = address, seconds, dict(headers or {})
        self._is_new = False
        host, port = read_address(address)
        self._connection = (
            HTTPConnection(host, port) if context is None else HTTPSConnection(host, port, context=context)
        )

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        self._connection.close()

    def interrupt(self) -> None:
        """Let the request that waits fail now; called from a signal handler or another thread."""
        open_now = self._connection.sock
        if open_now is not None:
            try:
                socket.socket.shutdown(open_now, socket.SHUT_RDWR)
            except OSError:
                return  # it is closed already

    def post(self, path: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """Send a message; return the answer.

        Raises:
            RefusedError: the server says no.
            UnreachableError: it does not answer, or not usefully.
        """
        body = orjson.dumps(message)
        if len(body) > PACKED_ABOVE:
            return self.post_packed(path, gzip.compress(body, 6))
        return self._ask("POST", path, body, self._seconds)

    def post_packed(self, path: str, body: bytes) -> dict[str, Any]:
        """Send a body that is packed with gzip; otherwise as ``post``."""
        return self._ask("POST", path, body, self._seconds, packed=True)

    def get(self, path: str, wait_seconds: float = 0) -> dict[str, Any]:
        """Return the answer to a question that the server may think about; otherwise as ``post``."""
        return self._ask("GET", path, b"", self._seconds + wait_seconds)

    def _ask(
        self, method: str, path: str, body: bytes, seconds: float, *, packed: bool = False
    ) -> dict[str, Any]:
        try:
            self._open(seconds)
            self._send(method, path, body, packed=packed)
            answer = self._connection.getresponse()
            raw = answer.read(LARGEST_ANSWER + 1)
            self._is_new = False
        except (OSError, HTTPException) as error:
            self.close()
            raise self._unanswered(error) from None
        if len(raw) > LARGEST_ANSWER:
            self.close()
            raise UnreachableError(f"{self._address} answers with more than {LARGEST_ANSWER} bytes")
        return self._understood(answer, raw)

    def _open(self, seconds: float) -> None:
        self._connection.timeout = seconds
        if self._connection.sock is not None:
            self._connection.sock.settimeout(seconds)
            return
        self._connection.connect()
        self._is_new = isinstance(self._connection, HTTPSConnection)

    def _send(self, method: str, path: str, body: bytes, *, packed: bool) -> None:
        self._connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in self._headers.items():
            self._connection.putheader(name, value)
        if body:
            self._connection.putheader("Content-Type", "application/json")
            self._connection.putheader("Content-Length", str(len(body)))
        if packed:
            self._connection.putheader("Content-Encoding", "gzip")
        self._connection.endheaders(body or None)

    def _unanswered(self, error: Exception) -> UnreachableError:
        is_new, self._is_new = self._is_new, False
        if is_new and isinstance(error, RemoteDisconnected | ssl.SSLError | ConnectionResetError):
            return TurnedAwayError(
                f"{self._address} ends the connection before it answers; it is tried again"
            )
        what = str(error) or type(error).__name__
        return UnreachableError(f"{self._address} does not answer ({what}); it is tried again")

    def _understood(self, answer: HTTPResponse, raw: bytes) -> dict[str, Any]:
        try:
            found = orjson.loads(raw)
        except ValueError:
            found = None
        is_well = 200 <= answer.status < 300  # noqa: PLR2004 - success
        if is_well and isinstance(found, dict):
            return found
        if is_well:
            raise UnreachableError(
                f"{self._address} answers with no JSON object; is it a server of hwledger?"
            )
        detail = found.get("detail") if isinstance(found, dict) else None
        said = str(detail)[:300] if detail else f"status {answer.status}"
        after = answer.getheader("Retry-After") or ""
        seconds = min(float(after), LONGEST_BACK_OFF_SECONDS) if after.isdecimal() and len(after) < 9 else 0.0  # noqa: PLR2004 - digits
        raise RefusedError(f"{self._address} says no: {said}", answer.status, said, seconds)


class BackOff:
    """How long to wait before the next try: any time up to a limit that doubles, and never over a minute.

    Full jitter: a thousand agents whose server came back do not all come at once. The more hosts there are,
    the rarer the server wants to hear of each, and the longer is the first limit.
    """

    def __init__(self, chance: random.Random, most: float = LONGEST_BACK_OFF_SECONDS) -> None:
        self._chance, self._most = chance, most
        self._first = self._limit = 2.0

    def pace(self, interval_seconds: float) -> None:
        """Take a quarter of the time between two heartbeats as the first limit."""
        self._first = min(self._most, max(2.0, interval_seconds / 4))

    def failed(self, at_least: float = 0.0) -> float:
        """Return how many seconds to wait after one more failure."""
        limit, self._limit = self._limit, min(self._most, 2 * self._limit)
        return at_least + self._chance.uniform(0, limit)

    def refused(self) -> float:
        """Return how many seconds to wait where the host itself is refused: about a minute."""
        return self._chance.uniform(self._most / 2, self._most)

    def succeeded(self) -> None:
        """Begin anew."""
        self._limit = self._first
