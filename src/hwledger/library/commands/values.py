"""Plain values out of Python that is parsed and never run: texts, numbers, and calls as their arguments."""

import ast
import operator
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

_PROMPT: Final = re.compile(r"^[ \t]*(?:>>>|\.\.\.|In \[\d{1,4}\]:) ?", re.MULTILINE)
_ASSIGNED: Final = re.compile(
    r"^[ \t]{0,16}(\w{1,60})(?: ?: ?\w{1,20})? ?= ?([^\s=][^\n]{0,400})$", re.MULTILINE
)
_CONFIG: Final = re.compile(r"(\w{1,60})\s{0,3}=\s{0,3}(?:\w{1,40}\.)?(\w{1,60}Config)\(")
_LONGEST_CALL: Final = 6000
_LARGEST: Final = 1 << 62
_MOST_CONFIGS: Final = 30
_OPERATORS: Final[Mapping[type[ast.operator], Callable[[int, int], int]]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv,
    ast.LShift: lambda left, right: left << min(right, 64),
    ast.Pow: lambda left, right: left ** min(right, 64),
}  # fmt: skip

Arguments = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Unknown:
    """A value that the text does not show; ``text`` is how it was written."""

    text: str


@dataclass(frozen=True, slots=True)
class Called:
    """A call within a call: the last part of its name, and its arguments."""

    name: str
    arguments: Arguments


def unprompted(text: str) -> str:
    """Return ``text`` without the prompts of Python's shells."""
    return _PROMPT.sub("", text) if ">>>" in text or "In [" in text else text


def names_of(text: str) -> dict[str, object]:
    """Return the variables that are set to a plain value or to a ``...Config(...)``."""
    names: dict[str, object] = {}
    for found in _ASSIGNED.finditer(text):
        value = _read(found[2].strip(), names)
        if not isinstance(value, (Unknown, Called)) or "environ" in found[2] or "getenv" in found[2]:
            names.setdefault(found[1], value)
    for found in list(_CONFIG.finditer(text))[:_MOST_CONFIGS]:
        node = call(text[found.start(2) :], found.end(2) - found.start(2))
        if node:
            names[found[1]] = Called(found[2], arguments(node, names))
    return names


def plain_value(text: str) -> object:
    """Return the value of an expression by itself; ``Unknown`` where it is none."""
    return _read(text, {})


def _read(text: str, names: Mapping[str, object]) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # strange escapes are the page's business
            return value_of(ast.parse(text, mode="eval").body, names)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Unknown(text)


def call(text: str, opening: int) -> ast.Call | None:
    """Parse the call that ``text`` begins with; its bracket opens at ``opening``."""
    end = _closing(text, opening)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # strange escapes are the page's business
            tree = ast.parse(text[:end], mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return tree if isinstance(tree, ast.Call) else None


def _closing(text: str, opening: int) -> int:
    depth, quote, at = 0, "", opening
    limit = min(len(text), opening + _LONGEST_CALL)
    while at < limit:
        char = text[at]
        if quote:
            at += char == "\\"
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char == "#":
            at = min(limit, text.find("\n", at) % (limit + 1))
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
            if not depth:
                return at + 1
        at += 1
    return limit


def arguments(node: ast.Call, names: Mapping[str, object]) -> dict[str, object]:
    """Return the arguments of a call by position (``"0"``) and name; a mapping after ``**`` is laid out."""
    values: dict[str, object] = {str(at): value_of(arg, names) for at, arg in enumerate(node.args)}
    for word in node.keywords:
        value = value_of(word.value, names)
        if word.arg:
            values[word.arg] = value
        elif isinstance(value, dict):
            values |= {str(key): item for key, item in value.items()}
        else:
            values["**"] = Unknown("**")
    return values


def value_of(node: ast.expr, names: Mapping[str, object]) -> object:
    """Return the plain value of an expression: ``Called`` for a call, ``Unknown`` where none is shown."""
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        reader = _READERS.get(type(node))
        return reader(node, names) if reader else _unknown(node)


def _attribute(node: ast.Attribute, names: Mapping[str, object]) -> object:
    """``torch.bfloat16`` is the number type of that name."""
    del names
    plain = isinstance(node.value, ast.Name) and node.value.id in {"torch", "jnp"}
    return node.attr if plain else _unknown(node)


def _mapping(node: ast.Dict, names: Mapping[str, object]) -> object:
    pairs = zip(node.keys, node.values, strict=False)
    return {key.value: value_of(value, names) for key, value in pairs if isinstance(key, ast.Constant)}


def _sequence(node: ast.List | ast.Tuple, names: Mapping[str, object]) -> object:
    return [value_of(item, names) for item in node.elts]


def _unknown(node: ast.expr) -> Unknown:
    try:
        return Unknown(ast.unparse(node)[:80])
    except (RecursionError, ValueError):
        return Unknown("...")


def _sum(node: ast.BinOp, names: Mapping[str, object], depth: int = 0) -> object:
    """Arithmetic of whole numbers, as in ``32 * 1024``."""
    sides: list[int] = []
    for side in (node.left, node.right):
        value = _sum(side, names, depth + 1) if isinstance(side, ast.BinOp) and depth < 8 else None  # noqa: PLR2004
        value = value_of(side, names) if value is None and not isinstance(side, ast.BinOp) else value
        if not isinstance(value, int) or not -_LARGEST < value < _LARGEST:
            return _unknown(node)
        sides.append(value)
    work = _OPERATORS.get(type(node.op))
    if work is None or (sides[1] < 0 and isinstance(node.op, ast.Pow | ast.LShift)):
        return _unknown(node)
    if isinstance(node.op, ast.FloorDiv) and not sides[1]:
        return _unknown(node)
    return work(*sides)


def _called(node: ast.Call, names: Mapping[str, object]) -> object:
    """A call: ``os.environ.get("MODEL", "a/b")`` is its default, ``str(x)`` is ``x``."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    given = arguments(node, names)
    if name in {"getenv", "get"} and "1" in given:
        return given["1"]
    if name in {"str", "int", "Path"} and len(given) == 1 and "0" in given:
        return given["0"]
    return Called(name, given)


_READERS: Final[Mapping[type[ast.expr], Callable[[Any, Mapping[str, object]], object]]] = {
    ast.Name: lambda node, names: names.get(node.id, Unknown(node.id)), ast.Attribute: _attribute,
    ast.BinOp: _sum, ast.Call: _called, ast.Dict: _mapping, ast.List: _sequence, ast.Tuple: _sequence,
}  # fmt: skip
