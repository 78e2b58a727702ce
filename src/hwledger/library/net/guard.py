"""What no server may do to us: endless bodies, packed bombs, other schemes, and waiting for ever.

The guards are hooks of the HTTP client, so they hold for ``huggingface_hub``'s requests as for our own,
through proxies and along redirects.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import httpx2

from hwledger.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable

LARGEST_REPLY: Final = 64 << 20
LARGEST_REDIRECT: Final = 64 << 10
"""The text beside a redirect is thrown away; the reply that was asked for is the one behind it."""
_PLAIN: Final = frozenset({"", "identity"})


class BusyError(Exception):
    """The server asks for another try later; ``after_s`` seconds where it says when."""

    def __init__(self, what: str, after_s: float | None) -> None:
        super().__init__(what)
        self.what = what
        self.after_s = after_s


def check_scheme(response: httpx2.Response) -> None:
    """Refuse a redirect to another scheme: neither ``file:`` nor from TLS to plain text, and not back.

    Raises:
        UnreachableError: the redirect leaves the scheme of the request.
    """
    if not response.has_redirect_location:
        return
    location = response.headers["location"]
    try:
        target = response.request.url.join(location)
    except (httpx2.InvalidURL, ValueError, UnicodeError):
        raise UnreachableError(
            f"{_host(response)} redirects to {location[:200]!r}, which is no address"
        ) from None
    if target.scheme != response.request.url.scheme:
        raise UnreachableError(
            f"{_host(response)} redirects from {response.request.url.scheme} to {target.scheme}"
            f" ({target.host or location[:100]}); give that address yourself if you trust it"
        )


def check_encoding(response: httpx2.Response) -> None:
    """Refuse packed bodies: we ask for plain ones, and a small packed one can unpack to any size.

    Raises:
        UnreachableError: the body is packed.
    """
    packed = response.headers.get("content-encoding", "").strip().lower()
    if packed not in _PLAIN:
        raise UnreachableError(
            f"{_host(response)} sends its reply packed ({packed[:40]}) though plain was asked for"
        )


def limit_body(response: httpx2.Response, seen: "Callable[[int], None]") -> None:
    """Let the body end in an error where it grows beyond its bound; ``seen`` is told of every byte."""
    limit = int(response.request.extensions.get("hwledger_limit", LARGEST_REPLY))
    limit = LARGEST_REDIRECT if response.has_redirect_location else limit
    response.stream = _Limited(response.stream, limit, _host(response), seen)


class _Limited(httpx2.SyncByteStream):
    """A body that counts its bytes and stops at a bound."""

    def __init__(self, stream: Any, limit: int, host: str, seen: "Callable[[int], None]") -> None:
        self._stream = stream
        self._limit = limit
        self._host = host
        self._seen = seen

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for chunk in self._stream:
            size += len(chunk)
            self._seen(len(chunk))
            if size > self._limit:
                raise UnreachableError(
                    f"{self._host} sends more than the {self._limit:,} bytes that were asked for"
                )
            yield chunk

    def close(self) -> None:
        self._stream.close()


class Deadline:
    """Cuts every connection of a client when its time is up, so that no server can keep us waiting.

    Time-outs of single reads do not do that: a server that sends a byte now and then is never late.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.passed = False
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self._timer.start()

    def watch(self, event: str, info: Mapping[str, Any]) -> None:
        """Note the socket of every new connection (a ``trace`` extension of the client's requests)."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            found = info["return_value"].get_extra_info("socket")
            if isinstance(found, socket.socket):
                with self._lock:
                    self._sockets.append(found)
                if self.passed:
                    self._cut()

    def cancel(self) -> None:
        """Stop the clock."""
        self._timer.cancel()

    def _cut(self) -> None:
        self.passed = True
        with self._lock:
            for connection in self._sockets:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


def _host(response: httpx2.Response) -> str:
    return str(response.request.url.host)
