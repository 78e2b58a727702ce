"""The models of this machine: what each one is, and whether it fits here."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from hwledger import __version__
from hwledger.app import fit_here
from hwledger.errors import HwledgerError
from hwledger.library.access import Access
from hwledger.library.paths import shown
from hwledger.units import format_bytes, format_count, format_gib

if TYPE_CHECKING:
    from hwledger.library.local.model import LocalModel
    from hwledger.telemetry.machine import Machine

WORDS: Final = {"fits": "fits", "tight": "fits tightly", "does_not_fit": "does not fit"}
_KIND: Final = "rows"
_READ_LATER: Final = frozenset({"mlx"})
"""Words that only the headers of a model decide on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a row says of one model beyond where it is; what is not known is empty or ``None``.

    Attributes:
        architecture, format, quantisation: what its headers say.
        parameters: all of them.
        total_bytes: what it needs on this machine at 4096 tokens.
        verdict: whether it fits; empty where that cannot be told.
        problem: why not, in a sentence.
        base: the model that it is an adapter of.
    """

    architecture: str = ""
    format: str = ""
    quantisation: str = ""
    parameters: int | None = None
    total_bytes: int | None = None
    verdict: str = ""
    problem: str = ""
    base: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalRow:
    """One model of this machine: where it is, and what its headers say."""

    model: "LocalModel"
    facts: Facts = Facts()

    @property
    def cells(self) -> tuple[str, ...]:
        """Return reference, place, architecture, parameters, quantisation, size and fit."""
        facts = self.facts
        return (
            self.model.ref,
            self.place,
            facts.architecture,
            format_count(facts.parameters) if facts.parameters is not None else self.model.parameters,
            self.quantisation,
            format_bytes(self.model.size_bytes),
            self.fit,
        )

    @property
    def place(self) -> str:
        """Who keeps it, and whether it is for MLX."""
        mlx = self.facts.format == "mlx" and self.model.kind != "mlx"
        return f"{self.model.kind} (mlx)" if mlx else self.model.kind

    @property
    def fit(self) -> str:
        """Whether it fits and what it needs, or what is wrong with it; then what else there is to know."""
        facts = self.facts
        needs = f"{WORDS[facts.verdict]}, needs {format_gib(facts.total_bytes or 0)}" if facts.verdict else ""
        problem = self.problem.removeprefix(f"{self.model.ref}: ")
        if self.model.path:
            at = shown(self.model.path)
            problem = problem.replace(f"{at}: ", "").replace(f"{at}/", "")
        return "; ".join(part for part in (needs, problem, self.note) if part)

    @property
    def problem(self) -> str:
        """What is wrong with it."""
        return self.model.problem or self.facts.problem

    @property
    def note(self) -> str:
        """What else there is to know of it."""
        if self.facts.base and not self.problem:
            return f"adapter of {self.facts.base}"
        return self.model.note

    @property
    def quantisation(self) -> str:
        """What the program states, else the config's method, else the number type."""
        return self.model.quantisation or self.facts.quantisation

    def as_dict(self) -> dict[str, Any]:
        """Return the row for JSON."""
        return {
            "ref": self.model.ref,
            "name": self.model.name,
            "place": self.model.kind,
            "path": shown(self.model.path) if self.model.path else None,
            "size_bytes": self.model.size_bytes,
            "quantisation": self.quantisation or None,
            "format": self.facts.format or None,
            "architecture": self.facts.architecture or None,
            "parameters": self.facts.parameters,
            "total_bytes": self.facts.total_bytes,
            "verdict": self.facts.verdict or None,
            "adapter_of": self.facts.base or None,
            "problem": self.problem or None,
            "note": self.note or None,
        }


def local_rows(
    words: Sequence[str],
    machine: "Machine",
    seen: Callable[[str], None] | None = None,
    *,
    fit: bool = True,
    refresh: bool = False,
) -> list[LocalRow]:
    """Return this machine's models that match all words, each read and held against the machine.

    What a row needs is kept by the identity of the model's files, the machine and this program, in one
    document, so that a second list opens nothing that has not changed.

    Args:
        words: parts of names, places or quantisations.
        machine: what the models are held against.
        seen: is told the name of each model before it is read.
        fit: whether headers are read; without, a row says what the folders and programs say.
        refresh: what was kept is not believed.
    """
    from hwledger.library.local.discovery import local_models  # noqa: PLC0415 - start-up time

    wanted = [word.lower() for word in words]
    models = [model for model in local_models() if _matches(_text(model), wanted, fit=fit)]
    if not fit:
        return [LocalRow(model=model) for model in models]
    with _Remembered(machine, refresh=refresh, whole=not words) as remembered:
        rows = [LocalRow(model=model, facts=remembered.facts(model, seen)) for model in models]
    return [row for row in rows if _matches(f"{_text(row.model)} {row.place}".lower(), wanted)]


def total_on_disk(rows: Iterable[LocalRow]) -> int:
    """Return the bytes of all rows together, files that several share once."""
    from hwledger.library.local.model import on_disk  # noqa: PLC0415 - start-up time

    files = ((row.model.ref, file) for row in rows for file in row.model.files)
    return on_disk(file._replace(name=f"{ref}/{file.name}") for ref, file in files)


def _text(model: "LocalModel") -> str:
    return f"{model.name} {model.ref} {model.kind} {model.quantisation}".lower()


def _matches(text: str, wanted: Sequence[str], *, fit: bool = False) -> bool:
    return all(word in text or (fit and word in _READ_LATER) for word in wanted)


class _Remembered:
    """Facts of earlier lists on this machine, by reference; what is new is kept when the list ends."""

    def __init__(self, machine: "Machine", *, refresh: bool, whole: bool) -> None:
        from hwledger.library.kept import recall  # noqa: PLC0415 - start-up time

        self._machine = machine
        self._key = f"{_program()}|{machine!r}"
        kept = recall(_KIND, self._key)
        self._rows: dict[str, Any] = dict(kept.document) if kept else {}
        self._refresh = refresh
        self._whole = whole
        self._met: set[str] = set()
        self._new = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Keep what was read, also where the list was interrupted; what a whole list did not meet goes."""
        if self._whole and kind is None and len(self._met) < len(self._rows):
            self._rows = {place: row for place, row in self._rows.items() if place in self._met}
            self._new = True
        if self._new:
            from hwledger.library.kept import keep  # noqa: PLC0415 - start-up time

            keep(_KIND, self._key, self._rows)

    def facts(self, model: "LocalModel", seen: Callable[[str], None] | None) -> Facts:
        """Return what is known of a model; it is read where its files are others than before."""
        if model.problem:
            return Facts()
        place, identity = f"{model.kind}|{model.ref}", model.identity
        self._met.add(place)
        known = None if self._refresh else self._known(self._rows.get(place), identity)
        if known is not None:
            return known
        if seen:
            seen(model.name)
        facts = _read(model, self._machine)
        if not facts.base:  # what an adapter needs depends on another model, too
            self._rows[place] = {"identity": identity, **asdict(facts)}
            self._new = True
        return facts

    @staticmethod
    def _known(row: Any, identity: str) -> Facts | None:
        try:
            if row["identity"] != identity:
                return None
            return Facts(**{key: value for key, value in row.items() if key != "identity"})
        except (KeyError, TypeError, AttributeError):
            return None


def _program() -> str:
    """Return what tells this program from another version of it: planning may have changed."""
    import hwledger  # noqa: PLC0415 - its place

    folder = Path(hwledger.__file__).parent
    newest = max((path.stat().st_mtime_ns for path in folder.rglob("*") if path.suffix != ".pyc"), default=0)
    return f"{__version__}|{newest}"


def _read(model: "LocalModel", machine: "Machine") -> Facts:
    from hwledger.library.local.opening import read_local  # noqa: PLC0415 - start-up time

    opened = read_local(model, Access(offline=True))
    if opened.spec is None:
        return Facts(problem=opened.problem, base=opened.base)
    spec = opened.spec
    known = Facts(
        architecture=spec.architecture, format=spec.format, parameters=spec.census.total, base=opened.base,
        quantisation=spec.quantisation.method if spec.quantisation else spec.number_type,
    )  # fmt: skip
    try:
        made = fit_here(spec, machine)
    except HwledgerError as error:
        return replace(known, problem=" ".join(str(error).split()))
    verdict = made.fit.verdict.value if made.fit else ""
    return replace(known, total_bytes=made.total_bytes, verdict=verdict)
