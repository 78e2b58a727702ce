"""Text Generation Inference: ``/info`` of its router."""

from typing import Any, Final

from hwledger.library.deployment import Deployment
from hwledger.library.serving.reference import model_reference, revision_of
from hwledger.library.serving.replies import Server, text_of, told_nothing, whole_of
from hwledger.library.serving.settings import Settings

NAME: Final = "Text Generation Inference"
_ROUTER: Final = "text-generation-router"
_BEFORE_ROUTER: Final = (
    "model_id",
    "max_total_tokens",
    "max_best_of",
    "max_stop_sequences",
    "validation_workers",
)
"""What ``/info`` held before it named its router (1.x); embedding servers hold the first alone."""


def is_tgi(server: Server) -> bool:
    """Whether ``/info`` is the answer of TGI's router."""
    info = server.json("/info")
    if "router" in info:
        return (text_of(info, "router") or "").startswith(_ROUTER)
    return all(name in info for name in _BEFORE_ROUTER)


def read(server: Server) -> Deployment:
    """Return what a TGI server runs.

    Raises:
        MalformedError: it does not say which model.
    """
    info = server.json("/info")
    stated = text_of(info, "model_id")
    if not stated:
        raise told_nothing(NAME, server)
    settings = Settings("vllm")
    model, note = model_reference(stated)
    settings.note(note)
    settings.note(
        "Text Generation Inference has no profile of its own yet: it is planned by the rules of vLLM"
    )
    settings.take("max_model_len", whole_of(info, "max_total_tokens"))
    settings.take("dtype", text_of(info, "model_dtype"))
    _note_limits(settings, info)
    version = text_of(info, "version")
    return Deployment(
        model=model, program=f"{NAME} {version}" if version else NAME, engine="vllm",
        revision=revision_of(model, _commit(info)), options=settings.options, notes=tuple(settings.notes),
    )  # fmt: skip


def _commit(info: dict[str, Any]) -> str | None:
    sha = text_of(info, "model_sha") or ""
    usual = len(sha) == 40 and all(char in "0123456789abcdef" for char in sha)  # noqa: PLR2004 - of SHA-1
    return sha if usual else None


def _note_limits(settings: Settings, info: dict[str, Any]) -> None:
    requests, tokens = whole_of(info, "max_concurrent_requests"), whole_of(info, "max_batch_total_tokens")
    if requests:  # a queue, not a batch: waiting requests count
        settings.note(f"the router takes {requests:,} requests at once and queues what does not fit")
    if tokens:
        settings.note(f"the server states room for {tokens:,} tokens in one batch, caches included")
    settings.note(
        "TGI does not say over how many devices it spreads the model: give --option tensor_parallel_size=N"
    )
