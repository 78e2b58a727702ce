"""What processes of this machine held beside their plans: one JSON file in the data folder, written whole."""

import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final

from hwledger.errors import MalformedError
from hwledger.library.paths import data_dir
from hwledger.planner.process import Rest

SCHEMA: Final = "hwledger.process-memory/1"
MOST_RUNS: Final = 1000
MOST_BYTES: Final = 4 << 20
LARGEST: Final = 1 << 46


def rests_path() -> Path:
    """Return the file; it need not exist."""
    return data_dir() / "process-memory.json"


def load_rests() -> tuple[Rest, ...]:
    """Return the stored runs, oldest first; none where there is no file.

    Raises:
        MalformedError: the file is there and is not one of ours.
    """
    from hwledger.library.json_file import parse_json_object  # noqa: PLC0415 - start-up time

    path = rests_path()
    try:
        raw = path.read_bytes() if path.stat().st_size <= MOST_BYTES else b"[]"
    except OSError:
        return ()
    document = parse_json_object(raw, str(path))
    runs = document.get("runs")
    if document.get("schema") != SCHEMA or not isinstance(runs, list):
        raise MalformedError(
            f"{path}: this is no {SCHEMA}; forget all runs with hwledger calibrate --forget all"
        )
    return tuple(_rest(one, f"{path}, run {number}") for number, one in enumerate(runs, 1))


def usable_rests() -> tuple[tuple[Rest, ...], tuple[str, ...]]:
    """Return the stored runs, and a sentence why where their file is broken; then there are none."""
    if not os.path.lexists(rests_path()):
        return (), ()
    try:
        return load_rests(), ()
    except MalformedError as error:
        return (), (f"what processes held here cannot be read and is left out: {error}",)


def save_rests(runs: Sequence[Rest]) -> None:
    """Replace the stored runs; the oldest beyond a thousand are dropped.

    Raises:
        InputError: the file cannot be written; the one before stays.
    """
    from hwledger.library.files import make_folder, write_whole  # noqa: PLC0415 - start-up time

    make_folder(rests_path().parent)
    document = {"schema": SCHEMA, "runs": [asdict(each) for each in tuple(runs)[-MOST_RUNS:]]}
    write_whole(rests_path(), (json.dumps(document, indent=1) + "\n").encode())


def _rest(value: object, where: str) -> Rest:
    if not isinstance(value, dict) or not isinstance(value.get("engine"), str):
        raise MalformedError(
            f"{where}: this is no measured run; forget all with hwledger calibrate --forget all"
        )
    size = value.get("rest_bytes")
    if isinstance(size, bool) or not isinstance(size, int | float) or not _possible(size):
        raise MalformedError(
            f"{where}: rest_bytes is {size!r}; forget all with hwledger calibrate --forget all"
        )
    texts: dict[str, Any] = {
        field.name: str(value.get(field.name) or "") for field in fields(Rest) if field.name != "rest_bytes"
    }
    return Rest(rest_bytes=float(size), **texts)


def _possible(size: float) -> bool:
    return math.isfinite(size) and 0 <= size <= LARGEST
