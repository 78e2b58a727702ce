"""Everything that hwledger raises on purpose.

The tree, with the exit code of the command line::

    HwledgerError                 1
    ├── UsageError                2   the request is wrong: what to type instead is in the sentence
    │   ├── UnknownOptionError        an engine option, engine, type or device that does not exist
    │   └── AmbiguousError            several things answer to the name; they are listed
    ├── InputError                4   a file or its content cannot be used
    │   ├── MissingError              nothing is at that path or under that name
    │   │   └── UnknownNameError          the place has no model of that name
    │   ├── MalformedError            something is there and it is broken, hostile or contradictory
    │   │   ├── AlteredError              a ledger is not what was written to it
    │   │   └── TooLargeError             it takes more bytes than it may
    │   ├── NewerError                something is there, written by a newer hwledger
    │   ├── BusyError                 something is there, and another process has it
    │   ├── FullError                 it could not be kept: the disk is full, read-only or broken
    │   └── ConflictError             what was to be added contradicts what is there
    ├── DoesNotFitError           3   what was asked needs a plan that fits, and this one does not
    ├── UnreachableError          5   a server or hub that was asked did not answer, or not usefully
    │   ├── OfflineError              the network is needed and is not to be used
    │   └── DeniedError               it answers, and a token, a licence or a right is missing
    └── EngineError               6   an engine that hwledger started did not start, failed or ended by itself

Exit code 3 (does not fit) is a verdict where only a plan was asked for; 130 is an interrupt. Each
message is one sentence: what happened, to what, and what to do next.
"""

from collections.abc import Sequence
from typing import ClassVar


class HwledgerError(Exception):
    """Base of all errors that hwledger raises on purpose."""

    exit_code: ClassVar[int] = 1


class UsageError(HwledgerError):
    """The request itself is wrong."""

    exit_code: ClassVar[int] = 2


class UnknownOptionError(UsageError):
    """A name that is not known; the known ones are part of the sentence."""

    def __init__(self, what: str, name: str, known: Sequence[str]) -> None:
        super().__init__(f"unknown {what} {name!r}; known: {', '.join(known)}")
        self.name = name
        self.known = tuple(known)


class AmbiguousError(UsageError):
    """Several candidates answer to one name; the caller picks one of ``candidates``."""

    def __init__(self, name: str, candidates: Sequence[str]) -> None:
        super().__init__(f"{name!r} could be any of: {', '.join(candidates)}; name one of them in full")
        self.candidates = tuple(candidates)


class InputError(HwledgerError):
    """A file or its content cannot be used."""

    exit_code: ClassVar[int] = 4


class MissingError(InputError):
    """Nothing is there to read."""


class UnknownNameError(MissingError):
    """A place that was asked has no model of that name: another name may be meant."""


class MalformedError(InputError):
    """Something is there, and it is broken, hostile or contradicts itself."""


class AlteredError(MalformedError):
    """A ledger is not what was written to it; ``seq`` is the first event that shows it, where one does."""

    def __init__(self, message: str, seq: int | None = None) -> None:
        super().__init__(message)
        self.seq = seq


class TooLargeError(MalformedError):
    """Something takes more bytes than it may, as it came or as it unpacks."""


class NewerError(InputError):
    """A file of a newer version of the program: this one must not touch it."""


class BusyError(InputError):
    """Another process holds what only one may hold."""


class FullError(InputError):
    """It could not be kept: the disk is full, read-only or broken; nothing of it was kept."""


class ConflictError(InputError):
    """What was to be added contradicts what is there; nothing of it was added."""


class DoesNotFitError(HwledgerError):
    """A plan does not fit its devices, and what was asked needs one that does."""

    exit_code: ClassVar[int] = 3


class UnreachableError(HwledgerError):
    """A server that was asked did not answer, or answered what cannot be used."""

    exit_code: ClassVar[int] = 5


class OfflineError(UnreachableError):
    """The network is needed and is not to be used."""


class DeniedError(UnreachableError):
    """The server answers and lets nobody in without a token, an accepted licence or a right."""


class EngineError(HwledgerError):
    """An engine that hwledger started did not start, failed, hung or ended by itself."""

    exit_code: ClassVar[int] = 6
