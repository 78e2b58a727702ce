"""Aphrodite, which grew out of vLLM and kept its flags."""

from dataclasses import replace

from hwledger.library.commands.draft import Call
from hwledger.library.commands.programs import vllm
from hwledger.library.deployment import Deployment

_NOTE = "Aphrodite has no profile of its own yet: it is planned by the rules of vLLM"


def read(call: Call) -> Deployment:
    """Return what a command of Aphrodite runs.

    Raises:
        UsageError: it names no model.
    """
    return vllm.read(replace(call, notes=(*call.notes, _NOTE)))
