"""Grids: a plan over two axes, every cell planned and estimated by itself."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from hwledger.errors import UnknownOptionError, UsageError
from hwledger.planner.request import Request
from hwledger.planner.solve.choices import counts_on, engine_runs_on, types_on
from hwledger.planner.solve.corrections import runs_words
from hwledger.planner.solve.quality import KV_CACHE, WEIGHTS
from hwledger.planner.solve.question import Measured, Progress, Question, measure
from hwledger.planner.weights import weigh
from hwledger.units import format_tokens, parse_size

MOST_CELLS: Final = 1024
FIRST_CONTEXT: Final = 4096
MOST_STEPS: Final = 8
USERS: Final = (1, 2, 4, 8, 16, 32, 64, 128)
ALIASES: Final = {"weights": "quant", "kv-cache": "kv", "users": "concurrency", "device": "devices"}
AXES: Final = ("quant", "kv", "context", "concurrency", "devices")


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis: its name, its values as they are planned, and as they are shown."""

    name: str
    values: tuple[object, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Cells of two axes.

    Attributes:
        rows, columns: the axes.
        cells: one measured plan per row and column.
    """

    rows: Axis
    columns: Axis
    cells: tuple[tuple[Measured, ...], ...]


def share_of(measured: Measured) -> float | None:
    """Return how full the fullest device is, 1 being full; ``None`` where no device is given."""
    plan = measured.plan
    if plan is None:
        return None
    shares = [d.total_bytes / d.usable_bytes for d in plan.devices if d.usable_bytes]
    return max(shares, default=None)


def grid_notes(grid: Grid) -> tuple[str, ...]:
    """Return what is to be known of a grid's figures: whether runs of the user's own correct them."""
    cells = (one.throughput for row in grid.cells for one in row)
    return tuple(f"speeds {line}" for line in runs_words(cells))


def make_grid(question: Question, text: str, progress: Progress | None = None) -> Grid:
    """Return the grid of two axes.

    Args:
        question: what does not vary.
        text: ``quant,context``, or with values ``quant=awq:fp8,context=8k:32k``.
        progress: is told how many cells of how many are planned.

    Raises:
        UnknownOptionError: there is no such axis.
        UsageError: not two axes, a value that cannot be read, or too many cells.
    """
    names = [part.strip() for part in text.split(",") if part.strip()]
    if len(names) != 2:  # noqa: PLR2004 - a grid is flat
        raise UsageError(f"a grid has two axes; write it like quant,context, of {', '.join(AXES)}")
    rows, columns = (_axis(question, name) for name in names)
    if rows.name == columns.name:
        raise UsageError(f"a grid has two different axes; both are {rows.name}")
    total = len(rows.values) * len(columns.values)
    if total > MOST_CELLS:
        raise UsageError(f"{total:,} cells are more than a grid of {MOST_CELLS:,}; give fewer values")
    cells = []
    for count, row in enumerate(rows.values):
        start = _at(question, question.request, rows.name, row)
        cells.append(tuple(measure(question, _at(question, start, columns.name, c)) for c in columns.values))
        if progress:
            progress((count + 1) * len(columns.values), total)
    return Grid(rows=rows, columns=columns, cells=tuple(cells))


def _axis(question: Question, text: str) -> Axis:
    name, _, values = text.partition("=")
    name = ALIASES.get(name.strip().lower(), name.strip().lower())
    if name not in AXES:
        raise UnknownOptionError("axis of a grid", name, AXES)
    given = [part.strip() for part in values.split(":") if part.strip()]
    found = _READ[name](given) if given else tuple(_DEFAULT[name](question))
    if not found:
        raise UsageError(f"there is nothing to try on the axis {name} here; give values like {name}=a:b")
    return Axis(name, found, tuple(_label(name, value) for value in found))


def _numbers(given: Sequence[str]) -> tuple[int, ...]:
    try:
        found = tuple(parse_size(text) for text in given)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if min(found) < 1:
        raise UsageError("the values of a grid are 1 or more")
    return found


def _words(given: Sequence[str]) -> tuple[str | None, ...]:
    return tuple(None if text.lower() in {"stored", "default"} else text for text in given)


def _weights(question: Question) -> Iterator[str | None]:
    spec, devices = question.request.spec, question.request.devices
    names = types_on(question.profile.name, WEIGHTS, devices)
    yield from (n for n in names if n is None or weigh(spec, n).total < weigh(spec).total)


def _kv_caches(question: Question) -> Iterator[str | None]:
    yield from types_on(question.profile.name, KV_CACHE, question.request.devices)


def _contexts(question: Question) -> Iterator[int]:
    top = question.request.spec.context_length or 32 * FIRST_CONTEXT
    tokens = FIRST_CONTEXT
    for _ in range(MOST_STEPS):
        if tokens >= top:
            break
        yield tokens
        tokens *= 2
    yield min(tokens, top)


def _counts(question: Question) -> Iterator[int]:
    devices, engine = question.request.devices, question.profile.name
    if not devices:
        raise UsageError("the axis devices needs a device; give --device")
    yield from (n for n in counts_on(engine) if engine_runs_on(engine, devices[0], n))


def _label(name: str, value: object) -> str:
    if value is None:
        return "as stored" if name == "quant" else "default"
    if name == "context":
        return format_tokens(int(str(value)))
    return f"{value}x" if name == "devices" else str(value)


def _at(question: Question, request: Request, name: str, value: object) -> Request:
    """The request with one axis at one value."""
    if name == "quant":
        return request if value is None else question.vary(request, weights=value)
    if name == "kv":
        return request if value is None else question.vary(request, kv_cache=value)
    if name == "devices":
        return question.vary(request, devices=(request.devices[0],) * int(str(value)))
    return question.vary(request, **{name: value})


_READ: Final[dict[str, Callable[[Sequence[str]], tuple[object, ...]]]] = {
    "quant": _words, "kv": _words, "context": _numbers, "concurrency": _numbers, "devices": _numbers,
}  # fmt: skip
_DEFAULT: Final[dict[str, Callable[[Question], Iterator[object]]]] = {
    "quant": _weights, "kv": _kv_caches, "context": _contexts, "concurrency": lambda _: iter(USERS),
    "devices": _counts,
}  # fmt: skip
