"""KServe's Hugging Face server, which starts vLLM with the flags of vLLM."""

from dataclasses import replace
from typing import Final

from hwledger.library.commands.draft import Call
from hwledger.library.commands.programs import vllm
from hwledger.library.deployment import Deployment

PROGRAM: Final = "huggingfaceserver"
_OWN: Final = {
    "--model_id": "--model", "--model-id": "--model", "--model_dir": "--model",
    "--model_revision": "--revision",
}  # fmt: skip
_ASIDE: Final = ("--model_name", "--model-name", "--predictor_protocol", "--backend", "--task", "--http_port")


def read(call: Call) -> Deployment:
    """Return what KServe's server runs; its own flags are those of its runtime's documentation (kserve 0.15).

    Raises:
        UsageError: it names no model.
    """
    words = [part for word in call.words for part in _parts(word)]
    kept = [
        word
        for at, word in enumerate(words)
        if word not in _ASIDE and (not at or words[at - 1] not in _ASIDE)
    ]
    return vllm.read(replace(call, words=tuple(kept)))


def _parts(word: str) -> list[str]:
    """A flag and its value, under vLLM's name; values of other flags stay as they are."""
    flag, equals, value = word.partition("=")
    if flag in _OWN or flag in _ASIDE:
        return [_OWN.get(flag, flag), *([value] if equals else [])]
    return [word]
