"""What a reference says beyond the model: commands and servers come with an engine and its options."""

from dataclasses import replace

from hwledger.errors import MissingError
from hwledger.library.access import Access
from hwledger.library.deployment import Deployment
from hwledger.library.pasted import tidied
from hwledger.library.source import open_model
from hwledger.model.spec import ModelSpec


def deployment_of(ref: str | Deployment, access: Access) -> Deployment | None:
    """Return how the model behind ``ref`` is run, where ``ref`` is a command line or a running server's.

    Names of Ollama and LM Studio models count where their server has the model loaded or configured.

    Raises:
        UsageError: a command line that names no model, or that cannot be read.
        UnreachableError: a server does not answer.
    """
    told = ref if isinstance(ref, Deployment) else _command(ref)
    if told is not None:
        return _served(told, access) or told
    return _served(Deployment(model=tidied(str(ref)), program=""), access)


def open_deployed(told: Deployment, access: Access) -> ModelSpec:
    """Return the model of a deployment, at the revision that it names.

    Raises:
        MissingError: it is not to be found from here; where a server said it, that is part of the sentence.
        HwledgerError: as ``open_model``.
    """
    try:
        return open_model(told.model, access=replace(access, revision=access.revision or told.revision))
    except MissingError as error:
        if not told.server:
            raise
        raise MissingError(
            f"{told.program} at {told.server} runs {told.model[:300]}, which cannot be read from here"
            f" ({error}); plan the model by its file or its name on the hub instead"
        ) from None


def _command(ref: str) -> Deployment | None:
    if not any(letter.isspace() for letter in ref.strip()):
        return None
    from hwledger.library.commands import is_command, read_command  # noqa: PLC0415 - start-up time

    return read_command(ref) if is_command(ref) else None


def _served(told: Deployment, access: Access) -> Deployment | None:
    """Return what a server says of the model, below what a command states."""
    if told.model.startswith("ollama:"):
        from hwledger.library.ollama.running import deployment  # noqa: PLC0415 - start-up time

        return _over(deployment(told.model, access), told)
    if told.model.startswith("lmstudio:"):
        from hwledger.library.lmstudio.running import deployment as loaded  # noqa: PLC0415 - start-up time

        return _over(loaded(told.model, access), told)
    from hwledger.library.serving.address import is_server  # noqa: PLC0415 - start-up time

    if not is_server(told.model):
        return None
    from hwledger.library.serving.detect import probe  # noqa: PLC0415 - start-up time

    return probe(told.model, access)


def _over(served: Deployment | None, told: Deployment) -> Deployment | None:
    """Return what a server says with what a command states laid over it."""
    if served is None:
        return None
    return replace(
        served,
        program=told.program or served.program,
        options={**served.options, **told.options},
        context=told.context or served.context,
        concurrency=told.concurrency or served.concurrency,
        notes=(*served.notes, *told.notes),
    )
