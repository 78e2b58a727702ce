"""Our frozen dataclasses are those of the standard library, made faster."""

import copy
import dataclasses
import inspect
import pickle
from collections.abc import Callable
from functools import cached_property
from importlib import import_module
from pkgutil import walk_packages
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hwledger
from hwledger.dataclass import dataclass as ours

Decorator = Callable[..., Any]


def family(dataclass: Decorator) -> dict[str, Any]:
    """Return classes with everything that ours use, made by one of the two decorators."""

    @dataclass(frozen=True, slots=True)
    class Base:
        """Fields with and without defaults."""

        a: int
        b: str = "b"
        c: list[int] = dataclasses.field(default_factory=list, hash=False)

    @dataclass(frozen=True, slots=True)
    class Derived(Base):
        """One more field, one that is not compared, one that is not shown."""

        d: float = 0.5
        e: int = dataclasses.field(default=3, compare=False)
        f: int = dataclasses.field(default=4, repr=False)

    @dataclass(frozen=True, kw_only=True)
    class Named:
        """By name only, without slots: what is worked out is kept."""

        first: int
        second: int = 2

        @cached_property
        def total(self) -> int:
            return self.first + self.second

    @dataclass(frozen=True, slots=True)
    class Checked:
        """Refuses what is wrong, and writes itself in its own way."""

        value: int
        made: int = dataclasses.field(init=False, default=7)

        def __post_init__(self) -> None:
            if self.value < 0:
                raise ValueError("negative")

        def __repr__(self) -> str:
            return f"<{self.value}>"

    @dataclass(frozen=True, slots=True)
    class Empty:
        """Nothing."""

    return {cls.__name__: cls for cls in (Base, Derived, Named, Checked, Empty)}


OURS, THEIRS = family(ours), family(dataclasses.dataclass)
CALLS = (
    ("Base", (1,), {}), ("Base", (1, "x", [2]), {}), ("Base", (), {"b": "y", "a": 3}), ("Base", (), {}),
    ("Derived", (1,), {"d": 2.5}), ("Derived", (1,), {"e": 9, "f": 9}), ("Derived", (1,), {"f": 8}),
    ("Named", (), {"first": 1}), ("Named", (1,), {}), ("Named", (), {"first": 1, "third": 3}),
    ("Checked", (1,), {}), ("Checked", (-1,), {}), ("Checked", (1,), {"made": 2}), ("Empty", (), {}),
)  # fmt: skip


USES: tuple[Callable[[Any, str], Any], ...] = (
    lambda thing, _: dataclasses.asdict(thing),
    lambda thing, _: dataclasses.replace(thing),
    lambda thing, _: copy.copy(thing),
    lambda thing, _: copy.deepcopy(thing),
    lambda thing, field: setattr(thing, field, 1) if field != "none" else None,
    lambda thing, field: delattr(thing, field) if field != "none" else None,
    lambda thing, _: thing.total,
    lambda thing, _: thing.__match_args__,
)


def outcome(call: Callable[[], Any]) -> object:
    """Return what a call gives, in words that do not depend on who made the class."""
    try:
        result = call()
    except Exception as error:  # noqa: BLE001 - whatever it raises is compared
        return type(error).__name__
    return repr(result).replace("family.<locals>.", "")


def _kinds(cls: type) -> list[tuple[str, object, object]]:
    return [(p.name, p.kind, p.annotation) for p in inspect.signature(cls).parameters.values()]


@pytest.mark.requirement("NFR-SPEED")
@pytest.mark.parametrize("number", range(len(CALLS)))
def test_they_are_made_compared_and_printed_alike(number: int) -> None:
    """Arguments, defaults, refusals, text, fields, copies and protection agree with the library's."""
    name, given_, named = CALLS[number]
    mine, theirs = OURS[name], THEIRS[name]
    assert outcome(lambda: mine(*given_, **named)) == outcome(lambda: theirs(*given_, **named))
    assert _kinds(mine) == _kinds(theirs)
    try:
        one, other = mine(*given_, **named), theirs(*given_, **named)
    except (TypeError, ValueError):
        return
    field = next((each.name for each in dataclasses.fields(one)), "none")
    for use in USES:
        assert outcome(lambda: use(one, field)) == outcome(lambda: use(other, field)), use  # noqa: B023
    assert outcome(lambda: hash(one)) == outcome(lambda: hash(other))
    assert one == mine(*given_, **named)
    assert one != other


VALUES = st.tuples(st.integers(0, 2), st.sampled_from("xy"), st.floats(0, 1), st.integers(0, 1))


@pytest.mark.requirement("NFR-SPEED")
@given(VALUES, VALUES)
def test_they_are_equal_and_hash_where_the_librarys_do(one: tuple[Any, ...], two: tuple[Any, ...]) -> None:
    """Fields that do not count in a comparison or a hash do not count."""

    def made(cls: Any, values: tuple[Any, ...]) -> Any:
        a, b, d, e = values
        return cls(a, b, [e], d, e=e)

    pairs = [(made(cls, one), made(cls, two)) for cls in (OURS["Derived"], THEIRS["Derived"])]
    assert len({left == right for left, right in pairs}) == 1
    assert len({hash(left) for left, _ in pairs}) == 1


@pytest.mark.requirement("NFR-SPEED")
def test_every_class_of_ours_is_made_as_the_library_would() -> None:
    """Of all dataclasses in the package: the signature's names, order and kinds, and a refusal to change."""
    found = 0
    for info in walk_packages(hwledger.__path__, "hwledger."):
        if info.name.endswith("__main__"):
            continue
        for cls in vars(import_module(info.name)).values():
            if not isinstance(cls, type) or not dataclasses.is_dataclass(cls) or cls.__module__ != info.name:
                continue
            found += 1
            expected = [f for f in dataclasses.fields(cls) if f.init]
            order = [f.name for f in expected if not f.kw_only] + [f.name for f in expected if f.kw_only]
            parameters = inspect.signature(cls.__init__).parameters
            assert list(parameters)[1:] == order, cls
            assert all(
                (parameters[f.name].kind is inspect.Parameter.KEYWORD_ONLY) == f.kw_only for f in expected
            )
    assert found > 200


@pytest.mark.requirement("NFR-SPEED")
def test_they_are_pickled() -> None:
    """A class with slots comes back equal from a pickle."""
    from hwledger.model.origin import Origin, Place  # noqa: PLC0415 - one of ours

    origin = Origin(place=Place.HUB, name="o/n")
    assert pickle.loads(pickle.dumps(origin)) == origin  # noqa: S301 - just written


@pytest.mark.requirement("NFR-SPEED")
def test_what_can_be_changed_is_the_librarys() -> None:
    """The decorator is for frozen classes only, and says so."""
    with pytest.raises(ValueError, match=r"dataclasses\.dataclass"):
        ours(frozen=False)
