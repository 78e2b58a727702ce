"""Reading a JSON object from a file, bounded and with sentences for everything that can be wrong."""

import json
from typing import Any, NoReturn

from hwledger.errors import MalformedError
from hwledger.library.files import Files, read_whole


def read_json_object(files: Files, name: str) -> dict[str, Any]:
    """Return the JSON object in the file ``name``.

    Raises:
        MissingError: there is no such file.
        MalformedError: it is empty, too large, no UTF-8, no JSON, no object, or holds NaN.
        InputError: it cannot be read.
    """
    return parse_json_object(read_whole(files, name), f"{files.where}/{name}")


def parse_json_object(raw: bytes, where: str) -> dict[str, Any]:
    """Return the JSON object that ``raw`` spells.

    Raises:
        MalformedError: it is empty, no UTF-8, no JSON, no object, or holds NaN.
    """
    value = parse_json(raw, where)
    if not isinstance(value, dict):
        raise MalformedError(f"{where}: this holds a JSON {type(value).__name__} where an object is needed")
    return value


def parse_json(raw: bytes, where: str) -> Any:
    """Return the JSON value that ``raw`` spells.

    Raises:
        MalformedError: it is empty, no UTF-8, no JSON, or holds NaN.
    """
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise MalformedError(f"{where}: this is no UTF-8 text, so no JSON") from None
    if not text.strip():
        raise MalformedError(f"{where}: the file is empty")
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"{where}: this is no valid JSON ({_brief(error)})") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")


def _brief(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return str(error)
