"""The source port: where a model reference may be looked up, and the resolver over all sources."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Protocol, runtime_checkable

from hwledger.errors import AmbiguousError, MissingError
from hwledger.extensions import extensions
from hwledger.library.access import Access
from hwledger.library.adapter import base_of, on_base
from hwledger.library.near import near_names
from hwledger.library.pasted import tidied
from hwledger.model.spec import ModelSpec

ENTRY_POINTS = "hwledger.sources"
LONGEST_SHOWN = 200
HERE = frozenset({"gguf", "file"})
"""Sources of files that the user has: what those name may be a file, too."""
NAMED = frozenset({"hf", "catalogue"})
"""Sources that anybody's adapter may name its base in: nothing else is contacted on a stranger's word."""


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


def installed_sources() -> tuple[Source, ...]:
    """Return an instance of every installed source, in order of precedence, which settings may change."""
    return tuple(sorted(_sources(), key=lambda source: (source.precedence, source.name)))


@cache
def _sources() -> tuple[Source, ...]:
    found = [point.load()() for point in extensions(ENTRY_POINTS)]
    return tuple(source for source in found if isinstance(source, Source))


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
    asked = tuple(sources) if sources is not None else installed_sources()
    source, found = _find(ref, asked, access)
    spec = source.open(found, access)
    base = base_of(spec)
    if base is None:
        return spec
    allowed = HERE | NAMED if source.name in HERE else NAMED
    bases = [each for each in installed_sources() if each.name in allowed]
    plain = replace(access, revision=None)
    try:
        source, found = _find(base, bases, plain)
    except MissingError:
        raise MissingError(
            f"{spec.id} is an adapter of {base[:LONGEST_SHOWN]!r}, which is no model of the hub or the"
            f" catalogue{' and no file here' if allowed > HERE else ''}; plan its base model itself"
        ) from None
    return on_base(spec, source.open(found, plain))


def _find(ref: str, asked: Sequence[Source], access: Access) -> tuple[Source, str]:
    """Return the source that answers to ``ref``, and the reference as it knows it.

    What people copy along with a name (quotes, brackets, a comma) counts only where it is no name with it.
    """
    for text in dict.fromkeys((ref, tidied(ref))):
        named, wanted = _named(text, asked, access)
        for source in named or asked:
            found = list(source.named(wanted) if named else source.candidates(wanted))
            if len(found) > 1:
                raise AmbiguousError(text, [f"{source.name}:{each}" for each in found] if named else found)
            if found:
                return source, found[0]
    named, wanted = _named(ref, asked, access)
    raise MissingError(_not_found(ref, wanted, named, asked, access))


def _named(ref: str, asked: Sequence[Source], access: Access) -> tuple[list[Source], str]:
    """Return the source that a prefix names, if any, and the reference without it."""
    prefix, colon, rest = ref.partition(":")
    named = [source for source in asked if colon and source.name == prefix.lower()]
    if access.revision and not named:  # only repositories have revisions
        return [source for source in asked if source.name == "hf"], ref
    return named, rest if named else ref


def _not_found(
    ref: str, wanted: str, named: Sequence[Source], asked: Sequence[Source], access: Access
) -> str:
    near = near_names(wanted, named or asked)
    shown = ref if len(ref) <= LONGEST_SHOWN else f"{ref[:LONGEST_SHOWN]}…"
    hint = f"did you mean {', '.join(near)}?" if near else "list the known names with: hwledger models"
    if named and access.revision:
        return f"{shown!r} is no repository of the hub, and only those have revisions; leave out --revision"
    if named:
        return f"{shown!r} has not the form of a name that {named[0].name}: understands; {hint}"
    return f"nothing is called {shown!r}: it is no file or folder here and no name in the catalogue; {hint}"
