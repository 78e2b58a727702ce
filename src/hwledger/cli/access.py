"""The options of every command that reads a model, and progress while it does."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from hwledger.library.access import Access, Progress

Command = TypeVar("Command", bound=Callable[..., Any])
ACCESS_OPTIONS = (
    click.option("--revision", metavar="REV", help="Branch, tag or commit of the repository."),
    click.option("--offline", is_flag=True, help="Use no network: only what is on this machine."),
    click.option("--refresh", is_flag=True, help="Read anew what is remembered from an earlier reading."),
)


def access_options(command: Command) -> Command:
    """Give a command ``--revision``, ``--offline`` and ``--refresh``."""
    for option in reversed(ACCESS_OPTIONS):
        command = option(command)
    return command


@contextmanager
def reading(*, revision: str | None, offline: bool, refresh: bool) -> "Iterator[Access]":
    """Give the access that the options ask for; draws progress on stderr while it is read."""
    from hwledger.library.access import Access, offline_by_environment

    drawn = _Drawn()
    access = Access(
        offline=offline or offline_by_environment(),
        refresh=refresh,
        revision=revision,
        progress=drawn.show if sys.stderr.isatty() else _unseen,
        say=drawn.say,
    )
    try:
        yield access
    finally:
        drawn.close()


def _unseen(progress: "Progress") -> None:
    del progress


class _Drawn:
    """A line on stderr that lives while headers are fetched."""

    def __init__(self) -> None:
        self._status: Any = None

    def show(self, progress: "Progress") -> None:
        """Draw how far it is."""
        from hwledger.units import format_bytes

        files = f", {progress.files_done} of {progress.files} files" if progress.files > 1 else ""
        text = f"reading headers of {progress.what}: {format_bytes(progress.bytes_read)}{files}"
        if self._status is None:
            from rich.console import Console

            self._status = Console(stderr=True, highlight=False).status("")
            self._status.start()
        from rich.text import Text

        self._status.update(Text(text))

    def say(self, sentence: str) -> None:
        """Write a sentence about a delay; it stays."""
        self.close()
        sys.stderr.write(f"hwledger: {sentence}\n")

    def close(self) -> None:
        """Take the line away."""
        if self._status is not None:
            self._status.stop()
            self._status = None
