"""Which engine answers at an address: the telling request first, and no engine taken for another."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from hwledger.errors import UnreachableError
from hwledger.library.access import Access
from hwledger.library.deployment import Deployment
from hwledger.library.net.address import reaching
from hwledger.library.serving import desktop, llama_server, mistral_rs, sglang, tgi, vllm
from hwledger.library.serving.address import server_address
from hwledger.library.serving.replies import KEY_VARIABLE, Server

TIME_LIMIT_S: Final = 60.0
NAMES: Final = "vLLM, SGLang, Text Generation Inference, llama.cpp, mistral.rs, Ollama and LM Studio"


@dataclass(frozen=True, slots=True)
class Known:
    """One way to know an engine.

    Attributes:
        engine: its name, as telemetry has it.
        matches: whether the server is that engine for certain.
        read: returns what it runs.
    """

    engine: str
    matches: Callable[[Server], bool]
    read: Callable[[Server], Deployment]


KNOWN: Final = (
    # by /v1/models, which every engine answers and signs in its own way
    Known("vllm", vllm.is_vllm, vllm.read),
    Known("sglang", sglang.is_sglang, sglang.read),
    Known("llama.cpp", llama_server.is_llama_server, llama_server.read),
    Known("mistral.rs", mistral_rs.is_mistral_rs, mistral_rs.read),
    # by what they alone answer
    Known("tgi", tgi.is_tgi, tgi.read),
    Known("ollama", desktop.is_ollama, desktop.read_ollama),
    Known("lmstudio", desktop.is_lm_studio, desktop.read_lm_studio),
    Known("llama.cpp", llama_server.is_llama_server_by_props, llama_server.read),
    Known("sglang", sglang.is_sglang_by_info, sglang.read),
    Known("vllm", vllm.is_vllm_by_metrics, vllm.read),
)


def probe(ref: str, access: Access) -> Deployment:
    """Return what the inference engine at an address runs, with the options that it states.

    A key in ``HWLEDGER_SERVER_KEY`` is shown to that server alone.

    Raises:
        UsageError: ``ref`` is no address of a server.
        AmbiguousError: several models are loaded there; ``?model=NAME`` picks one.
        DeniedError: the server wants a key.
        UnreachableError: nothing answers there, or no engine that is known.
        InputError: the engine does not say which model it runs.
    """
    from hwledger.library.net.http import Credential, Http  # noqa: PLC0415 - start-up time

    address, wanted = server_address(ref)
    key = os.environ.get(KEY_VARIABLE, "").strip()
    credential = Credential(address, key) if key else None
    limited = replace(reaching(access, address), time_limit_s=min(access.time_limit_s, TIME_LIMIT_S))
    with Http(limited, credential) as http:
        return read_server(Server(http, address, wanted, has_key=bool(key)))


def read_server(server: Server) -> Deployment:
    """Return what a server runs, by the first of the known engines that it is.

    Raises:
        HwledgerError: as ``probe``.
    """
    for known in KNOWN:
        if known.matches(server):
            told = known.read(server)
            return replace(told, server=server.address, notes=(*told.notes, *_lost(server)))
    raise UnreachableError(
        f"{server.address} answers and is none of {NAMES}; give the model itself"
        f" (asked: {', '.join(server.asked)})"
    )


def _lost(server: Server) -> list[str]:
    if not server.lost:
        return []
    return [f"the server did not answer {', '.join(server.lost)}: what it states there is missing here"]
