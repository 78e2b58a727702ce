"""A deployment while the words of a command are read into it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from hwledger.errors import UsageError
from hwledger.library.commands.table import Item
from hwledger.library.deployment import Deployment
from hwledger.planner.options import Option, integer, positive, size

Number = Callable[[str], int | None]
_NUMBERS: Final = (positive, size, integer)
_FIELDS: Final = frozenset({"context", "concurrency", "weights", "kv_cache"})


@dataclass(frozen=True, slots=True)
class Call:
    """A program and what it was called with.

    Attributes:
        program: its name as it was written.
        words: what follows the name.
        env: variables that are set for it.
        mounts: folders of a container and what they are outside.
        version: version of the engine, where an image is tagged with one.
        notes: what was read on the way to the program.
    """

    program: str
    words: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    mounts: Mapping[str, str] = field(default_factory=dict)
    version: str | None = None
    notes: tuple[str, ...] = ()


def whole(text: str) -> int | None:
    """Return a plain whole number; ``None`` where the text is none."""
    digits = text.strip().replace("_", "")
    short = len(digits) < 20  # noqa: PLR2004 - more than 2**62
    return int(digits) if short and digits.removeprefix("-").isascii() and _digits(digits) else None


def _digits(text: str) -> bool:
    return text.removeprefix("-").isdigit()


class Draft:
    """What is known so far of one command.

    ``number`` is how the program itself reads numbers: what it returns is written in digits. ``unread`` are
    the options that are told, with values that the text does not show.
    """

    def __init__(self, call: Call, engine: str | None, number: Number = whole) -> None:
        self.call = call
        self.engine = engine
        self.number = number
        self.known = _options_of(engine)
        self.options: dict[str, str] = {}
        self.values: dict[str, str] = {}
        self.model = ""
        self.revision: str | None = None
        self.whole_context = False
        self.unread: set[str] = set()
        self.notes = list(call.notes)

    def note(self, text: str) -> None:
        """Add a sentence, once."""
        if text not in self.notes:
            self.notes.append(text)

    def take(self, item: Item) -> None:
        """Enter one flag; a flag that is not known, or not planned, becomes a note."""
        if item.flag is None:
            self.note(f"{_short(item.said)} is no flag of {self.call.program} that is known: not planned")
            return
        name, _, constant = item.flag.option.partition("=")
        if name == "aside":
            return
        if name == "unmodelled":
            self.note(f"{_short(item.said)} can change the memory and is not planned")
        elif item.flag.takes == "none":
            self.enter(name, _switched(constant or "on", off=item.off), item.said)
        elif item.value:
            self.enter(name, constant or item.value, item.said)
        else:
            self._bare(item, name, constant)

    def _bare(self, item: Item, name: str, constant: str) -> None:
        if item.flag and item.flag.takes == "optional":
            self.enter(name, constant or "on", item.said)
        else:
            self.note(f"{_short(item.said)} is given without a value: not planned")
            self.unread.add(name)

    def left_over(self, words: Sequence[str]) -> None:
        """Say which words belong to no flag."""
        for word in words[:5]:
            self.note(
                f"{_short(word)!r} belongs to no flag of {self.call.program} that is known: not planned"
            )

    def enter(self, name: str, text: str, said: str) -> None:
        """Set a field of the deployment or an option of the engine."""
        if name == "model":
            self.model = text
        elif name == "revision":
            self.revision = text
        elif name in _FIELDS:
            self._field(name, text, said)
        elif name in self.known:
            self.option(name, text, said)
        else:
            self.values[name] = text

    def _field(self, name: str, text: str, said: str) -> None:
        if name in {"weights", "kv_cache"}:
            self.values[name] = text
            return
        value = self.number(text)
        if value is not None and value > 0:
            self.values[name] = str(value)
        else:
            self.note(f"{_short(said)} is left to the program")

    def option(self, name: str, text: str, said: str) -> None:
        """Set an option of the engine; a value that the planner has no rule for becomes a note."""
        option = self.known[name]
        if option.parse in _NUMBERS:
            value = self.number(text)
            if value is None:
                self.note(f"{_short(said)} is no number to {self.call.program}: not planned")
                self.unread.add(name)
                return
            text = str(value)
        try:
            option.parse(text)
        except (ValueError, OverflowError) as error:
            self.note(f"{_short(said)} is not planned: {name} {error}")
            return
        self.options[name] = text

    def deployment(self) -> Deployment:
        """Return what was read.

        Raises:
            UsageError: there is no model.
        """
        model = self._outside(self.model.strip())
        if not model or model.startswith("-"):
            raise UsageError(f"{self.call.program} is told no model; paste the whole command, model included")
        if "$" in model or model[:1] in {"<", "{", "["}:
            raise UsageError(
                f"the model of {self.call.program} is {_short(model)!r}; write the model's name in its place"
            )
        self._devices()
        version = self._version()
        return Deployment(
            model=model, program=self.call.program, engine=self.engine, engine_version=version,
            revision=self.revision, options=dict(self.options),
            concurrency=_count(self.values.get("concurrency")), context=_count(self.values.get("context")),
            whole_context=self.whole_context,
            weights=self.values.get("weights"), kv_cache=self.values.get("kv_cache"), notes=tuple(self.notes),
        )  # fmt: skip

    def _version(self) -> str | None:
        """The version of an image's tag, where the profile reaches it."""
        if self.call.version is None or self.engine is None:
            return None
        from hwledger.planner.engine import engine_profile  # noqa: PLC0415 - start-up time

        try:
            engine_profile(self.engine).check_version(self.call.version)
        except UsageError as error:
            self.note(f"the newest rules are used: {error}")
            return None
        return self.call.version

    def _outside(self, model: str) -> str:
        for inside, outside in self.call.mounts.items():
            if model == inside or model.startswith(inside.rstrip("/") + "/"):
                return outside.rstrip("/") + model[len(inside.rstrip("/")) :]
        return model

    def _devices(self) -> None:
        for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"):
            if seen := self.call.env.get(name):
                self.note(f"{name}={_short(seen)} says which devices are used; name them with --device")


def _count(text: str | None) -> int | None:
    return int(text) if text else None


def _switched(text: str, *, off: bool) -> str:
    return {"on": "off", "off": "on"}.get(text, text) if off else text


def _short(text: str) -> str:
    """Return ``text`` for a sentence: on one line and not too long."""
    plain = " ".join("".join(c if c.isprintable() else " " for c in text[:400]).split())
    return plain if len(plain) <= 80 else plain[:77] + "..."  # noqa: PLR2004 - fits a line


def _options_of(engine: str | None) -> Mapping[str, Option]:
    if engine is None:
        return {}
    from hwledger.planner.engine import engine_profile  # noqa: PLC0415 - start-up time

    return engine_profile(engine).options
