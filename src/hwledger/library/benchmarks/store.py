"""The measured runs that correct later answers: one JSON file in the data folder, written whole."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hwledger.errors import MalformedError
from hwledger.library.paths import data_dir

if TYPE_CHECKING:
    from hwledger.planner.throughput.calibration import Calibration, Point

SCHEMA: Final = "hwledger.calibration/1"
MOST_POINTS: Final = 10_000
MOST_BYTES: Final = 32 << 20


def store_path() -> Path:
    """Return the file of the measured runs; it need not exist."""
    return data_dir() / "calibration.json"


def load_calibration() -> "Calibration":
    """Return the stored runs; none where there is no file.

    Raises:
        MalformedError: the file is there and is not one of ours.
    """
    from hwledger.library.json_file import parse_json_object  # noqa: PLC0415
    from hwledger.planner.throughput.calibration import Calibration  # noqa: PLC0415 - start-up time

    path = store_path()
    try:
        raw = path.read_bytes() if path.stat().st_size <= MOST_BYTES else b"[]"
    except OSError:
        return Calibration()
    document = parse_json_object(raw, str(path))
    points = document.get("points")
    if document.get("schema") != SCHEMA or not isinstance(points, list):
        raise MalformedError(f"{path}: this is no {SCHEMA}; delete it, or forget all runs with --forget all")
    return Calibration(tuple(_point(one, f"{path}, run {i}") for i, one in enumerate(points, 1)))


def usable_calibration() -> "tuple[Calibration | None, tuple[str, ...]]":
    """Return the stored runs, ``None`` for none; and a sentence why, where their file is broken."""
    if not os.path.lexists(store_path()):
        return None, ()
    try:
        return load_calibration(), ()
    except MalformedError as error:
        why = f"measured runs of your own are left out, they cannot be read: {error}"
        return None, (f"{why} (`hwledger calibrate --forget all` removes them)",)


def save_calibration(calibration: "Calibration") -> None:
    """Replace the stored runs: repeats of one run once, the oldest dropped beyond 10,000.

    Raises:
        InputError: the file cannot be written; the one before stays.
    """
    from hwledger.library.files import make_folder, write_whole  # noqa: PLC0415 - start-up time
    from hwledger.planner.throughput.calibration import distinct  # noqa: PLC0415

    points = [asdict(point) for point in distinct(calibration.points)[-MOST_POINTS:]]
    make_folder(store_path().parent)
    write_whole(store_path(), (json.dumps({"schema": SCHEMA, "points": points}, indent=1) + "\n").encode())


def without(calibration: "Calibration", numbers: Sequence[int]) -> "Calibration":
    """Return the runs but those of the given numbers, counted from 1."""
    dropped = set(numbers)
    return replace(
        calibration, points=tuple(p for i, p in enumerate(calibration.points, 1) if i not in dropped)
    )


def _point(value: object, where: str) -> "Point":
    from hwledger.planner.throughput.calibration import Point  # noqa: PLC0415 - start-up time
    from hwledger.planner.throughput.figure import FIGURES  # noqa: PLC0415

    if not isinstance(value, dict) or value.get("quantity") not in FIGURES:
        raise MalformedError(f"{where}: this is no measured run; delete it, or forget all with --forget all")
    known: dict[str, Any] = {}
    for field in fields(Point):
        part = value.get(field.name)
        if field.name in {"measured", "predicted"}:
            known[field.name] = _positive(part, field.name, where)
        elif field.name == "devices":
            known[field.name] = part if isinstance(part, int) and part > 0 else 1
        elif field.name == "host":
            known[field.name] = part is True
        elif field.name == "users":
            known[field.name] = str(part or "one")
        else:
            known[field.name] = str(part or "")
    return Point(**known)


def _positive(value: object, name: str, where: str) -> float:
    from hwledger.library.benchmarks.run import LEAST_RATE, MOST_RATE, possible  # noqa: PLC0415 - start-up time

    if isinstance(value, bool) or not isinstance(value, int | float) or not possible(value):
        raise MalformedError(
            f"{where}: {name} is {value!r} where a number from {LEAST_RATE:g} to {MOST_RATE:g} is needed; "
            "forget all runs with --forget all"
        )
    return float(value)
