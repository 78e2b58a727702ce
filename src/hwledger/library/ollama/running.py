"""How Ollama runs a model: as its server has it in memory, else as model and environment say."""

import os
import re
from collections.abc import Mapping
from typing import Any, Final, cast

from hwledger.errors import InputError, UnreachableError
from hwledger.library.access import Access
from hwledger.library.deployment import Deployment
from hwledger.library.fields import text, whole
from hwledger.library.net.address import reaching
from hwledger.library.ollama.reference import OllamaName, parse_name
from hwledger.library.ollama.server import Server, base_url, row_of
from hwledger.library.ollama.store import find, params_of, read_manifest
from hwledger.units import format_bytes

PREFIX: Final = "ollama:"
_LINE: Final = re.compile(r"^\s*(num_\w+)\s+(-?\d{1,9})\s*$", re.MULTILINE)
DEFAULT_CONTEXT: Final = (
    "neither the model nor the environment says a context: Ollama takes 4,096, 32,768 or 262,144 tokens with"
    " less than 24, less than 48, or from 48 GiB of accelerator memory; give --context"
)


def deployment(ref: str, access: Access) -> Deployment | None:
    """Return how Ollama runs the model that ``ollama:NAME`` names; ``None``: no such reference.

    What is in memory now counts first, then the parameters of the model, then the variables that the server
    reads. A server that does not answer is no error: a note says it.

    Raises:
        UsageError: OLLAMA_HOST is no address.
        InputError: the model's manifest in the store cannot be used.
    """
    name = parse_name(ref.removeprefix(PREFIX)) if ref.startswith(PREFIX) else None
    if name is None:
        return None
    url = base_url()
    params, path = {}, find(name)
    if path:
        params = params_of(read_manifest(path))
    notes: list[str] = []
    version, row = "", cast("Mapping[str, Any]", {})
    try:
        version, row, shown = _asked(url, name, access, ask_params=path is None)
        params |= shown
    except (UnreachableError, InputError):
        notes.append(f"no Ollama at {url} says how it runs this model, so it is planned as the model says")
    context = _context(row, params)
    if context is None:
        notes.append(DEFAULT_CONTEXT)
    return Deployment(
        model=f"{PREFIX}{name}", program=f"Ollama {version}".strip(), engine="llama.cpp",
        options=_options(params), context=context, concurrency=_number(os.environ.get("OLLAMA_NUM_PARALLEL")),
        notes=(*notes, *_in_memory(row)),
    )  # fmt: skip


def _asked(
    url: str, name: OllamaName, access: Access, *, ask_params: bool
) -> tuple[str, Mapping[str, Any], dict[str, int]]:
    """Return the version, the row of the model among those in memory, and its parameters."""
    from hwledger.library.net.http import Http  # noqa: PLC0415 - start-up time

    with Http(reaching(access, url)) as http:
        server = Server(http, url)
        version, row = server.version(), row_of(server.running(), str(name))
        shown = server.show(str(name)) if ask_params else {}
        return version, row, {key: int(value) for key, value in _LINE.findall(_lines(shown))}


def _lines(shown: Mapping[str, Any]) -> str:
    said = shown.get("parameters")
    return said if isinstance(said, str) else ""


def _context(row: Mapping[str, Any], params: Mapping[str, Any]) -> int | None:
    stated = (row.get("context_length"), params.get("num_ctx"))
    found = next((number for number in map(whole, stated) if number), None)
    return found or _number(os.environ.get("OLLAMA_CONTEXT_LENGTH"))


def _options(params: Mapping[str, Any]) -> dict[str, str]:
    """Return the options of llama.cpp that parameters and variables mean."""
    found: dict[str, str] = {}
    if batch := whole(params.get("num_batch")):
        found = {"n_batch": str(batch), "n_ubatch": str(batch)}
    if (layers := whole(params.get("num_gpu"))) is not None:
        found["n_gpu_layers"] = str(layers)
    if kind := os.environ.get("OLLAMA_KV_CACHE_TYPE", "").strip():
        found |= {"cache_type_k": kind, "cache_type_v": kind}
    if flash := os.environ.get("OLLAMA_FLASH_ATTENTION", "").strip():
        found["flash_attn"] = "on" if flash.lower() in {"1", "true", "t"} else "off"
    return found


def _in_memory(row: Mapping[str, Any]) -> list[str]:
    size, held = whole(row.get("size")), whole(row.get("size_vram")) or 0
    if not size:
        return []
    where = "all of it" if held >= size else f"{format_bytes(held)} of it"
    return [
        f"Ollama has {text(row.get('name'))[:100]} in memory: {format_bytes(size)}, {where} on accelerators"
    ]


def _number(said: str | None) -> int | None:
    said = (said or "").strip()
    return int(said) or None if said.isascii() and said.isdecimal() and len(said) < 10 else None  # noqa: PLR2004
