"""Uvicorn's protocol, with the certificate that the other side showed in the scope of each request.

Uvicorn hands it to no application (0.54.0); a protocol class of one's own and a factory of TLS contexts are
settings that it supports, and all that is needed.
"""

import ssl
from asyncio import Transport
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

PEER: Final = "hwledger.certificate"
"""Under which a scope has the certificate of the other side (DER); absent: it showed none."""
_KEEP_ALIVE_SECONDS: Final = 75


class PeerProtocol(HttpToolsProtocol):
    """HTTP over a connection whose other side may have shown a certificate."""

    _peer: bytes | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Keep the certificate, once for the connection."""
        super().connection_made(transport)
        tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        self._peer = tls.getpeercert(binary_form=True) if tls else None

    def on_message_begin(self) -> None:
        """Put the certificate into the scope of the request that begins."""
        super().on_message_begin()
        if self._peer is not None:
            scope: dict[str, Any] = self.scope  # type: ignore[assignment]
            scope[PEER] = self._peer


def listener(
    app: ASGIApp, host: str, port: int, context: ssl.SSLContext | None, **more: Any
) -> uvicorn.Server:
    """Return a server of uvicorn for one listener; without a context it speaks no TLS."""
    settings: dict[str, Any] = {
        "http": PeerProtocol,
        "ws": "none",
        "lifespan": "off",
        "proxy_headers": False,
        "server_header": False,
        "date_header": False,
        "log_config": None,
        "access_log": False,
        "timeout_keep_alive": _KEEP_ALIVE_SECONDS,
    }
    if context is not None:
        settings["ssl_context_factory"] = lambda _config, _default: context
    return uvicorn.Server(uvicorn.Config(app, host=host, port=port, **{**settings, **more}))
