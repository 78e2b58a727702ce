"""Uvicorn's protocol, with the certificate that the other side showed in the scope of each request.

Uvicorn hands it to no application (0.54.0); a protocol class of one's own and a factory of TLS contexts are
settings that it supports, and all that is needed.
"""

from asyncio import TimerHandle, Transport
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    import ssl

PEER: Final = "hwledger.certificate"
"""Under which a scope has the certificate of the other side (DER); absent: it showed none."""
HEAD_SECONDS: Final = 20.0
"""How long a request may take to say what it wants, since its first byte or the connection."""
BODY_SECONDS: Final = 120.0
"""How long its body may take after that: a mebibyte over 70 kbit/s."""
LARGEST_HEAD: Final = 64 << 10
"""Bytes of a request before its body."""


class PeerProtocol(HttpToolsProtocol):
    """HTTP over a connection whose other side may have shown a certificate.

    Who takes too long to say what is wanted, or says too much before it, is hung up on: uvicorn waits for
    ever and keeps all of it.
    """

    _peer: bytes | None = None
    _late: TimerHandle | None = None
    _head_bytes = _head_parsed = 0

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Keep the certificate, once for the connection."""
        super().connection_made(transport)
        tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        self._peer = tls.getpeercert(binary_form=True) if tls else None
        self._wait(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the time that was given."""
        self._wait(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in what was sent, so much of it and within a while."""
        if self._late is None and (self.cycle is None or self.cycle.response_complete):
            self._wait(HEAD_SECONDS)
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > LARGEST_HEAD:
            self.transport.abort()

    def on_message_begin(self) -> None:
        """Put the certificate into the scope of the request that begins."""
        super().on_message_begin()
        self._head_parsed = 0
        if self._peer is not None:
            scope: dict[str, Any] = self.scope  # type: ignore[assignment]
            scope[PEER] = self._peer
        if self._late is None:
            self._wait(HEAD_SECONDS)

    def on_url(self, url: bytes) -> None:
        """Take in a part of the address."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take in a header; each counts as 32 bytes more than it has, as in HTTP/2."""
        self._count(len(name) + len(value) + 32)
        super().on_header(name, value)

    def _count(self, more: int) -> None:
        """Raise where a head is too long that came in one piece; the parser answers it with 400."""
        self._head_parsed += more
        if self._head_parsed > LARGEST_HEAD:
            raise ValueError("the head of this request is too long")

    def on_headers_complete(self) -> None:
        """Begin to answer; the body has a time of its own."""
        self._wait(BODY_SECONDS)
        self._head_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take in a part of the body; how large it may be says who reads it."""
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Let the answer take its time."""
        self._wait(None)
        self._head_bytes = 0
        super().on_message_complete()

    def _wait(self, seconds: float | None) -> None:
        if self._late is not None:
            self._late.cancel()
        self._late = None if seconds is None else self.loop.call_later(seconds, self.transport.abort)
