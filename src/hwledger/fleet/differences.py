"""What is different between two inventories, in short lines."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

MOST: Final = 100
_LONGEST: Final = 200


def differences(before: Any, after: Any) -> list[str]:
    """Return what changed, as ``devices.0.name: "A" -> "B"``; at most ``MOST`` lines, the last says so."""
    found: list[str] = []
    for line in _lines("", before, after):
        if len(found) == MOST - 1:
            return [*found, "and more"]
        found.append(line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}...")
    return found


def _lines(path: str, before: Any, after: Any) -> Iterator[str]:
    left, right = _parts(before), _parts(after)
    if left is None or right is None:
        if before != after:
            yield f"{path}: {_shown(before)} -> {_shown(after)}"
        return
    for name in sorted(left.keys() | right.keys()):
        here = f"{path}.{name}" if path else name
        if name not in right:
            yield f"{here}: {_shown(left[name])} is gone"
        elif name not in left:
            yield f"{here}: {_shown(right[name])} is new"
        else:
            yield from _lines(here, left[name], right[name])


def _parts(value: Any) -> dict[str, Any] | None:
    """Return the parts of an object or a list; a list of objects with keys by those keys."""
    if isinstance(value, Mapping):
        return {str(name): one for name, one in value.items()}
    if not isinstance(value, list):
        return None
    keys = [one.get("key") if isinstance(one, Mapping) else None for one in value]
    keyed = all(isinstance(key, str) for key in keys) and len(set(keys)) == len(keys)
    return {str(keys[number]) if keyed else f"{number:04d}": one for number, one in enumerate(value)}


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{name}: {_shown(one)}' for name, one in list(value.items())[:4])}}}"
    return str(value)
