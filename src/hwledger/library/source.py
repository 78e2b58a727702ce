"""The source port: where a model reference may be looked up, and the resolver over all sources."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib.metadata import entry_points
from typing import Protocol, runtime_checkable

from hwledger.errors import AmbiguousError, MissingError
from hwledger.library.access import Access
from hwledger.library.adapter import base_of, on_base
from hwledger.model.spec import ModelSpec

ENTRY_POINTS = "hwledger.sources"
LONGEST_SHOWN = 200


@runtime_checkable
class Source(Protocol):
    """One place where models live.

    Attributes:
        name: the prefix that names this source outright (``catalogue:gpt2``).
        precedence: sources with smaller numbers are asked first.
    """

    name: str
    precedence: int

    def candidates(self, ref: str) -> Sequence[str]:
        """Return every reference that ``ref`` could mean here, cheaply; empty: not mine.

        Raises:
            HwledgerError: it is mine for certain and cannot be used.
        """
        ...

    def named(self, ref: str) -> Sequence[str]:
        """Return every reference that ``ref`` could mean where this source was named outright.

        Raises:
            HwledgerError: as ``candidates``.
        """
        ...

    def open(self, ref: str, access: Access) -> ModelSpec:
        """Read the model behind one of the ``candidates``: headers only, never the weights.

        Raises:
            InputError: the content cannot be used.
            AmbiguousError: there are several models behind it.
            UnreachableError: a server does not answer, or the network is not to be used.
        """
        ...

    def nearest(self, ref: str) -> Sequence[str]:
        """Return names here that look like ``ref``, for the sentence when nothing is found."""
        ...


@cache
def installed_sources() -> tuple[Source, ...]:
    """Return an instance of every installed source, in order of precedence."""
    found = [point.load()() for point in entry_points(group=ENTRY_POINTS)]
    return tuple(sorted((s for s in found if isinstance(s, Source)), key=lambda s: (s.precedence, s.name)))


def open_model(ref: str, sources: Sequence[Source] | None = None, access: Access | None = None) -> ModelSpec:
    """Return the model that ``ref`` names.

    The first source in order of precedence that knows the reference answers; ``SOURCE:REF`` asks
    one source only. Several candidates in one source are never chosen between.

    Raises:
        AmbiguousError: several candidates in the source that answers.
        MissingError: no source knows the reference.
        InputError: the model is there and cannot be used.
        UnreachableError: a server does not answer, or the network is not to be used.
    """
    access = access or Access()
    spec = _open(ref, tuple(sources) if sources is not None else installed_sources(), access)
    base = base_of(spec)
    if base is None:
        return spec
    return on_base(spec, _open(base, installed_sources(), replace(access, revision=None)))


def _open(ref: str, asked: Sequence[Source], access: Access) -> ModelSpec:
    prefix, colon, rest = ref.partition(":")
    named = [source for source in asked if colon and source.name == prefix]
    if access.revision and not named:  # only repositories have revisions
        named = [source for source in asked if source.name == "hf"]
        rest = ref
    wanted = rest if named else ref
    for source in named or asked:
        found = list(source.named(wanted) if named else source.candidates(wanted))
        if len(found) > 1:
            raise AmbiguousError(ref, [f"{source.name}:{each}" for each in found] if named else found)
        if found:
            return source.open(found[0], access)
    raise MissingError(_not_found(ref, wanted, named or asked))


def _not_found(ref: str, wanted: str, sources: Sequence[Source]) -> str:
    near = [name for source in sources for name in source.nearest(wanted)][:3]
    shown = ref if len(ref) <= LONGEST_SHOWN else f"{ref[:LONGEST_SHOWN]}…"
    hint = f"did you mean {', '.join(near)}?" if near else "list the known names with: hwledger models"
    return f"nothing is called {shown!r}: it is no file or folder here and no name in the catalogue; {hint}"
