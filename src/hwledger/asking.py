"""The use case of asking: what an engine itself says that it would allocate, beside the plan."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hwledger.errors import UsageError
from hwledger.library.access import Access
from hwledger.library.hollow import hollow_model
from hwledger.planner.engine import engine_profile
from hwledger.planner.memory import HOST
from hwledger.planner.plan import Plan, plan_request
from hwledger.reconcile.asked import Asked, Holding, asked_terms
from hwledger.runner.asking import Answer, ask_llama_cpp, check_can_ask, package_build

if TYPE_CHECKING:
    from hwledger.runner.asking import Buffers

ON_HOST: Final = {"n_gpu_layers": 0}


def ask_engine(made: Plan, ref: str, access: Access | None = None) -> Asked:
    """Return what the engine of a plan, installed here, says that it would allocate; no weights are read.

    It answers for what it computes with: a build for the processor is asked for the host's memory, and the
    plan that it is held against is made anew for that.

    Args:
        made: the plan.
        ref: the model as the user named it.
        access: how a remote header may be read.

    Raises:
        UsageError: the engine cannot be asked, or the model is no GGUF file.
        EngineError: it is not installed, refuses the header, or gives no answer.
        InputError, UnreachableError: the header cannot be read.
    """
    check_can_ask(made.engine)
    with tempfile.TemporaryDirectory(prefix="hwledger-ask-") as name:
        folder = Path(name)
        model = hollow_model(made.spec, ref, access or Access(), folder)
        asked = _for_build(made)
        answer = ask_llama_cpp(asked, model, folder)
        if len(answer.buffers) == 1 and any(each.place != HOST for each in asked.memory.components):
            asked = _on_host(asked)
            answer = ask_llama_cpp(asked, model, folder)
    return _beside(made, asked, answer)


def _for_build(made: Plan) -> Plan:
    """Return the plan for the build that is asked."""
    profile = engine_profile(made.engine)
    build = package_build()
    return (
        plan_request(replace(made.request, version=profile.check_version(build)), profile) if build else made
    )


def _on_host(made: Plan) -> Plan:
    options = {**made.request.options, **ON_HOST}
    request = replace(made.request, devices=(), node=None, options=options)
    return plan_request(request, engine_profile(made.engine))


def _beside(made: Plan, asked: Plan, answer: Answer) -> Asked:
    source = f"libllama of xllamacpp {answer.version}, no_alloc"
    holdings = tuple(_holding(each, index, answer) for index, each in enumerate(answer.buffers))
    _check_places(asked, answer)
    return Asked(
        plan=asked, engine=made.engine, version=asked.request.version, source=source, holdings=holdings,
        terms=asked_terms(asked, holdings, source), notes=tuple(_notes(made, asked)),
    )  # fmt: skip


def _holding(each: "Buffers", index: int, answer: Answer) -> Holding:
    place = HOST if index == len(answer.buffers) - 1 else index
    sizes = {"weights": each.model, "cache": each.context, "compute": each.compute}
    return Holding(place, each.device, sizes)


def _check_places(asked: Plan, answer: Answer) -> None:
    """Refuse to hold two devices against three: which is which would be a guess.

    Raises:
        UsageError: the engine has other devices than the plan.
    """
    planned = len({each.place for each in asked.memory.components} - {HOST})
    seen = [each.device for each in answer.buffers[:-1]]
    if planned > len(seen):
        raise UsageError(
            f"the plan is for {planned} devices, and the llama.cpp here has {', '.join(seen) or 'none'}:"
            " plan --device local to ask it"
        )


def _notes(made: Plan, asked: Plan) -> Iterator[str]:
    if made.request.version != asked.request.version:
        yield f"asked of {asked.request.version}, which is here, and planned for {made.request.version}"
    if made.request.devices and not asked.request.devices:
        names = ", ".join(dict.fromkeys(device.name for device in made.request.devices))
        yield (
            f"the llama.cpp here computes on the processor and cannot say what {names} takes: asked,"
            " and planned beside it, for the host's memory"
        )
