"""Engine options: their names, how their values are written, and refusing what is not known."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hwledger.errors import UnknownOptionError, UsageError
from hwledger.planner.request import OptionValue
from hwledger.units import parse_size

Parser = Callable[[str], OptionValue]

_TRUE = frozenset({"1", "true", "on", "yes", "enabled"})
_FALSE = frozenset({"0", "false", "off", "no", "disabled"})


@dataclass(frozen=True, slots=True)
class Option:
    """One option of an engine.

    Attributes:
        parse: turns the typed text into a value; raises ``ValueError`` with what is wrong.
        summary: one line for the list of known options.
        aliases: other spellings (``-ngl``, ``gpu-layers``).
    """

    parse: Parser
    summary: str
    aliases: tuple[str, ...] = ()


def size(text: str) -> int:
    """A whole number or a size: ``8192``, ``128k``, ``6.51GiB``."""
    return parse_size(text)


def positive(text: str) -> int:
    """A size of at least one."""
    value = parse_size(text)
    if value < 1:
        raise ValueError("must be at least 1")
    return value


def integer(text: str) -> int:
    """A whole number, negative ones included (``-1`` often means "all")."""
    try:
        return int(text)
    except ValueError:
        return parse_size(text)


def flag(text: str) -> bool:
    """``on``/``off``, ``true``/``false``, ``1``/``0``."""
    value = text.strip().lower()
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise ValueError("must be on or off")


def fraction(text: str) -> float:
    """A number above 0 and at most 1."""
    value = float(text)
    if not 0 < value <= 1:
        raise ValueError("must be above 0 and at most 1")
    return value


def ratios(text: str) -> tuple[float, ...]:
    """A list of shares: ``3,1``."""
    values = tuple(float(part) for part in text.replace("/", ",").split(","))
    if any(not 0 <= value < 1e9 for value in values) or not sum(values) > 0:  # noqa: PLR2004
        raise ValueError("must be shares like 3,1 that are not all zero")
    return values


def choice(*allowed: str) -> Parser:
    """One of the given words."""

    def parse(text: str) -> str:
        value = text.strip().lower()
        if value not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return value

    return parse


def word(text: str) -> str:
    """Any text."""
    return text.strip()


def parse_options(
    engine: str, known: Mapping[str, Option], given: Mapping[str, object] | Sequence[str]
) -> dict[str, OptionValue]:
    """Return the given options parsed, by canonical name.

    Args:
        engine: name of the engine, for the sentence.
        known: the engine's options.
        given: ``KEY=VALUE`` texts, or a mapping whose values may already be typed.

    Raises:
        UnknownOptionError: an option that the engine does not have.
        UsageError: a value that cannot be read, or an option given twice.
    """
    names = {alias: name for name, option in known.items() for alias in (name, *option.aliases)}
    parsed: dict[str, OptionValue] = {}
    for key, value in _pairs(given):
        name = names.get(key.lstrip("-").replace("-", "_"))
        if name is None:
            raise UnknownOptionError(f"{engine} option", key, sorted(known))
        if name in parsed:
            raise UsageError(f"the {engine} option {name} is given twice")
        try:
            parsed[name] = known[name].parse(_text(value))
        except (ValueError, OverflowError) as error:
            raise UsageError(f"the {engine} option {name}={value} cannot be used: {error}") from None
    return parsed


def _pairs(given: Mapping[str, object] | Sequence[str]) -> list[tuple[str, object]]:
    if isinstance(given, Mapping):
        return list(given.items())
    pairs: list[tuple[str, object]] = []
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"{text!r} is no option; write KEY=VALUE")
        pairs.append((key.strip(), value.strip()))
    return pairs


def _text(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ",".join(str(part) for part in value)
    return str(value)
