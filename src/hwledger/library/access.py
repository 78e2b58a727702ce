"""How a model may be read: with or without network, how fresh, and who hears of the progress."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from hwledger.errors import UsageError

OFFLINE_VARIABLES: Final = ("HWLEDGER_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
_ON: Final = frozenset({"1", "on", "yes", "true"})
USUAL_TIME_LIMIT: Final = 300.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far reading is.

    Attributes:
        what: what is being read.
        files_done, files: headers of it; ``files`` is 0 where it is not known yet.
        bytes_read: bytes that came over the network.
    """

    what: str
    files_done: int = 0
    files: int = 0
    bytes_read: int = 0


def _unheard(said: object) -> None:
    del said


def offline_by_environment() -> bool:
    """Whether a variable of the environment forbids the network (``HF_HUB_OFFLINE=1``)."""
    return bool(_forbidding())


def offline_words() -> str:
    """Return what switched the network off, for sentences: the variable that did, else the option."""
    return _forbidding() or "--offline"


def refused_anew(what: str) -> UsageError:
    """Return the error where what is remembered is not to be used and may not be read anew either."""
    return UsageError(
        f"{what} is remembered, --refresh forbids to use that, and {offline_words()} to ask anew; leave out"
        " one of the two"
    )


def _forbidding() -> str:
    return next((n for n in OFFLINE_VARIABLES if os.environ.get(n, "").strip().lower() in _ON), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How a model may be read.

    Attributes:
        offline: no network at all: only what is on this machine.
        refresh: what was kept from an earlier reading is not believed; offline, what is on this machine is
            read anew and anything else is refused.
        revision: branch, tag or commit of a repository, where the reference names none.
        progress: is told how far reading is.
        say: is told sentences about delays (a rate limit, another try).
        time_limit_s: seconds after which reading over the network is given up.
    """

    offline: bool = field(default_factory=offline_by_environment)
    refresh: bool = False
    revision: str | None = None
    progress: Callable[[Progress], None] = _unheard
    say: Callable[[str], None] = _unheard
    time_limit_s: float = USUAL_TIME_LIMIT
