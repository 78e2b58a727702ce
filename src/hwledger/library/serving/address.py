"""Addresses of servers: telling them from files on the web, models of the hub and names."""

import re
from typing import Final
from urllib.parse import parse_qs, urlsplit

from hwledger.errors import UsageError
from hwledger.library.hub.reference import hub_address

_SCHEMES: Final = ("http://", "https://")
_BARE: Final = r"(?i:(localhost|\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:.]{2,45}\]):\d{1,5}(?=[/?#]|$))"
_PREFIXES: Final = frozenset({"v1", "api"})
_FILES: Final = (".gguf", ".json", ".safetensors", ".bin", ".npz", ".pt", ".pth")
_PAGES: Final = frozenset({
    "docs", "redoc", "metrics", "health", "healthz", "ping", "ready", "version", "info",
    "props", "slots", "models", "model_info", "get_model_info", "server_info", "get_server_info",
    "openapi.json", "completion", "completions", "generate", "chat",
})  # fmt: skip
_LONGEST: Final = 2000


def is_server(ref: str) -> bool:
    """Whether ``ref`` is the address of a server rather than of a file or of a model's page.

    That is an http or https address without a path or with one that engines answer (``/v1/…``, ``/docs``,
    ``/metrics``); ``localhost:8000`` and ``10.0.0.3:8000`` need no scheme.
    """
    text = ref.strip()
    if len(text) > _LONGEST or any(char.isspace() or not char.isprintable() for char in text):
        return False
    if re.match(_BARE, text):
        text = f"http://{text}"
    if not text.lower().startswith(_SCHEMES) or hub_address(text) is not None:
        return False
    try:
        parts = urlsplit(text)
        usable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
    return usable and _is_page(parts.path.strip("/").lower())


def _is_page(path: str) -> bool:
    first, _, rest = path.partition("/")
    if first in _PREFIXES:
        return not rest.endswith(_FILES)
    return not path or path in _PAGES


def server_address(ref: str) -> tuple[str, str | None]:
    """Return the address that all of a server's paths start from, and the model that ``?model=`` names.

    Raises:
        UsageError: it is no address of a server.
    """
    text = ref.strip()
    if not is_server(text):
        raise UsageError(f"{text[:200]!r} is no address of a server; write it like http://localhost:8000")
    parts = urlsplit(text if text.lower().startswith(_SCHEMES) else f"http://{text}")
    host = parts.netloc.rpartition("@")[2]
    named = parse_qs(parts.query).get("model", [None])[0]
    return f"{parts.scheme.lower()}://{host}", named
