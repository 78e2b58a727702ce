"""What llama.cpp's programs take where they are told nothing: ``data/llama_cpp_defaults.csv``."""

import csv
from functools import cache

from hwledger.shipped import shipped_text


def llama_cpp_default(program: str, option: str, build: int | None) -> str:
    """Return what a build takes for an option, empty for the model's own; the newest where none is known.

    Args:
        program: ``server`` or ``tool``.
        option: its name in the plan.
        build: number of the build; ``None``: not known.
    """
    rows = [row for row in _rows() if row["program"] == program and row["option"] == option]
    return [row["value"] for row in rows if build is None or int(row["since"]) <= build][-1]


@cache
def _rows() -> list[dict[str, str]]:
    text = shipped_text("hwledger.library", "data/llama_cpp_defaults.csv")
    return list(csv.DictReader(text.splitlines()))
