"""``dataclass(frozen=True)`` that is made in a quarter of the time.

``dataclasses`` writes and compiles seven methods for every frozen class: 0.7 ms, and a plan needs ninety
classes. Here only ``__init__`` is written for a class; its other methods are the same for all, and read
its fields. What it makes is a dataclass to ``fields``, ``replace`` and ``asdict``, and to the type checker.
"""

import dataclasses
from collections.abc import Callable, Mapping
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, Final

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(*, frozen: bool, slots: bool = False, kw_only: bool = False) -> Callable[[type], type]:
        """Return what ``dataclasses.dataclass`` does with the same arguments; ``frozen`` is always meant."""
        if not frozen:
            raise ValueError("use dataclasses.dataclass for what can be changed")

        def decorated(cls: type) -> type:
            made = dataclasses.dataclass(init=False, repr=False, eq=False, slots=slots, kw_only=kw_only)(cls)
            methods = {"__init__": _init(made), **_methods(made), **(_PICKLED if slots else {})}
            for name, method in methods.items():
                if name not in cls.__dict__ or (name == "__hash__" and cls.__dict__[name] is None):
                    setattr(made, name, method)
            return made

        return decorated


_ASKED: Final = object()
"""Stands for the default of a field that has a factory."""


def _init(cls: type) -> Callable[..., None]:
    """Return ``__init__``, the one method that has to be written for each class."""
    fields = dataclasses.fields(cls)
    names = {"set_": object.__setattr__, "asked_": _ASKED}
    plain, named, body = ["self"], list[str](), list[str]()
    for field in fields:
        value = field.name
        if field.default_factory is not dataclasses.MISSING:
            names[f"new_{value}"] = field.default_factory
            made = f"new_{value}()"
            value = f"{made} if {value} is asked_ else {value}" if field.init else made
            default = "=asked_"
        elif field.default is not dataclasses.MISSING:
            names[f"default_{value}"] = field.default
            default = f"=default_{value}"
            value = value if field.init else f"default_{value}"
        elif field.init:
            default = ""
        else:
            continue  # what __post_init__ sets
        if field.init:
            (named if field.kw_only else plain).append(f"{field.name}{default}")
        body.append(f" set_(self, {field.name!r}, {value})")
    if hasattr(cls, "__post_init__"):
        body.append(" self.__post_init__()")
    heading = ", ".join([*plain, *(["*", *named] if named else [])])
    exec("\n".join([f"def __init__({heading}):", *(body or [" pass"])]), names)  # noqa: S102 - of field names
    return _called(names["__init__"], cls, {field.name: field.type for field in fields if field.init})


def _called(method: Any, cls: type, annotations: Mapping[str, object]) -> Callable[..., None]:
    """Give a method its place and types, which documentation and tests ask for."""
    method.__qualname__, method.__module__ = f"{cls.__qualname__}.__init__", cls.__module__
    method.__annotations__ = {**annotations, "return": None}
    result: Callable[..., None] = method
    return result


def _methods(cls: Any) -> dict[str, Callable[..., Any]]:
    """Return what compares, hashes, prints and protects the objects of a class."""
    fields = dataclasses.fields(cls)
    shown = [field.name for field in fields if field.repr]
    own = frozenset(field.name for field in fields)
    compared = _reader([field.name for field in fields if field.compare])
    hashed = _reader([f.name for f in fields if (f.compare if f.hash is None else f.hash)])

    def equal(self: object, other: object) -> bool:
        return compared(self) == compared(other) if other.__class__ is self.__class__ else NotImplemented

    def hashing(self: object) -> int:
        return hash(hashed(self))

    @recursive_repr()
    def printed(self: object) -> str:
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
        return f"{self.__class__.__qualname__}({values})"

    def assign(self: object, name: str, value: object) -> None:
        if type(self) is cls or name in own:
            raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")
        super(cls, self).__setattr__(name, value)

    def delete(self: object, name: str) -> None:
        if type(self) is cls or name in own:
            raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
        super(cls, self).__delattr__(name)

    return {
        "__eq__": equal, "__hash__": hashing, "__repr__": printed, "__setattr__": assign,
        "__delattr__": delete,
    }  # fmt: skip


def _reader(names: list[str]) -> Callable[[object], object]:
    """Return what reads these attributes of an object as a tuple."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda self: tuple(getattr(self, name) for name in names)


def _state(self: Any) -> list[object]:
    return [getattr(self, field.name) for field in dataclasses.fields(self)]


def _restore(self: Any, state: list[object]) -> None:
    for field, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)


_PICKLED: Final[Mapping[str, Callable[..., Any]]] = {"__getstate__": _state, "__setstate__": _restore}
"""Objects without a dictionary are copied and pickled by their fields."""
