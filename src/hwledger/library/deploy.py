"""What a reference says beyond the model: commands and servers come with an engine and its options."""

from hwledger.library.access import Access
from hwledger.library.deployment import Deployment


def deployment_of(ref: str | Deployment, access: Access) -> Deployment | None:
    """Return how the model behind ``ref`` is run, where ``ref`` is a command line.

    Raises:
        UsageError: a command line that names no model, or that cannot be read.
    """
    del access
    if isinstance(ref, Deployment):
        return ref
    return _command(ref)


def _command(ref: str) -> Deployment | None:
    if not any(letter.isspace() for letter in ref.strip()):
        return None
    from hwledger.library.commands import is_command, read_command  # noqa: PLC0415 - start-up time

    return read_command(ref) if is_command(ref) else None
