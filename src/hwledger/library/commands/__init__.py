"""Command lines that run a model, read as what they run: ``vllm serve``, ``llama-server`` and others."""

from hwledger.library.deployment import Deployment

__all__ = ["is_command", "read_command"]


def is_command(ref: str) -> bool:
    """Return whether ``ref`` is a command line or a snippet that runs a model, and no plain name."""
    if not any(char.isspace() or char == "(" for char in ref.strip()):
        return False
    from hwledger.library.commands.reading import is_command as looks_like_one  # noqa: PLC0415 - start-up time

    return looks_like_one(ref)


def read_command(text: str) -> Deployment:
    """Return what a pasted command line runs.

    Of several lines the one counts that runs a model; one that only fetches a model counts where none
    runs it.

    Raises:
        UsageError: no command in it is known, quotes are left open, it names no model, or it runs
            several different ones.
    """
    from hwledger.library.commands.reading import read_command as read  # noqa: PLC0415 - start-up time

    return read(text)
