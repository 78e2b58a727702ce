"""Reading a JSON object from a file, bounded and with sentences for everything that can be wrong."""

import json
from pathlib import Path
from typing import Any, Final, NoReturn

from hwledger.errors import InputError, MalformedError, MissingError

MAX_BYTES: Final = 64 << 20
"""A config.json is a few kB; 64 MiB leaves room for generated quantisation maps."""


def read_json_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file.

    Raises:
        MissingError: there is no such file.
        MalformedError: it is empty, too large, no UTF-8, no JSON, no object, or holds NaN.
        InputError: it cannot be read.
    """
    text = _read(path)
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"{path}: this is no valid JSON ({_brief(error)})") from None
    if not isinstance(value, dict):
        raise MalformedError(f"{path}: this holds a JSON {type(value).__name__} where an object is needed")
    return value


def _read(path: Path) -> str:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise MalformedError(f"{path}: {size:,} bytes is too large for a config (limit 64 MiB)")
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise MissingError(f"{path}: there is no such file") from None
    except UnicodeDecodeError:
        raise MalformedError(f"{path}: this is no UTF-8 text, so no JSON") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if not text.strip():
        raise MalformedError(f"{path}: the file is empty")
    return text


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")


def _brief(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return str(error)
