"""llama-bench: Markdown, CSV, JSON, JSON lines and SQL (llama.cpp b11434 ``tools/llama-bench``)."""

import csv
import io
import re
from collections.abc import Mapping
from math import isfinite
from typing import Any, Final

from hwledger.library.benchmarks.run import BenchmarkRun, possible

MOST_TOKENS: Final = 1 << 30
_INSERT: Final = re.compile(r"INSERT INTO \w+ \(([^)]*)\) VALUES \(((?:'(?:[^']|'')*'|[^)'])*)\);?")
_TEST: Final = re.compile(r"(?:pp(\d+))?(?:\+?tg(\d+))?(?: @ d(\d+))?")
_BACKENDS: Final = {"cuda": "CUDA", "rocm": "ROCm", "hip": "ROCm", "vulkan": "Vulkan", "metal": "Metal",
                    "mtl": "Metal", "sycl": "SYCL"}  # fmt: skip
_OPTIONS: Final = {"type_k": "cache_type_k", "type_v": "cache_type_v", "n_batch": "n_batch",
                   "n_ubatch": "n_ubatch", "n_gpu_layers": "n_gpu_layers", "n_cpu_moe": "n_cpu_moe",
                   "no_kv_offload": "no_kv_offload", "flash_attn": "flash_attn"}  # fmt: skip
_COLUMNS: Final = {"fa": "flash_attn", "ngl": "n_gpu_layers", "type_k": "type_k", "type_v": "type_v",
                   "n_ubatch": "n_ubatch", "n_batch": "n_batch", "nkvo": "no_kv_offload",
                   "ncmoe": "n_cpu_moe"}  # fmt: skip


def csv_records(text: str) -> list[dict[str, Any]]:
    """Return the rows of CSV; none where the heads are not llama-bench's."""
    start = text.find("build_commit")
    if start < 0:
        return []
    try:
        return [dict(row) for row in csv.DictReader(io.StringIO(text[start:])) if None not in row]
    except csv.Error:
        return []


def sql_records(text: str) -> list[dict[str, Any]]:
    """Return the rows of ``INSERT`` statements."""
    found = []
    for names, values in _INSERT.findall(text):
        read = [value.replace("''", "'") for value in re.findall(r"'((?:[^']|'')*)'", values)]
        heads = [name.strip() for name in names.split(",")]
        if len(heads) == len(read):
            found.append(dict(zip(heads, read, strict=True)))
    return found


def markdown_records(text: str) -> list[dict[str, Any]]:
    """Return the rows of a Markdown table with the columns ``test`` and ``t/s``, and the build below it."""
    found: list[dict[str, Any]] = []
    heads: list[str] = []
    build = re.search(r"^build: (\S+) \((\d+)\)", text, re.MULTILINE)
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if "|" in line else []
        if "test" in cells and "t/s" in cells:
            heads = cells
        elif heads and len(cells) == len(heads) and not set(cells[0]) <= set("-: "):
            row = dict(zip(heads, cells, strict=True))
            record = _of_markdown(row)
            if build:
                record["build_number"] = build[2]
            found.append(record)
    return found


def _of_markdown(row: Mapping[str, str]) -> dict[str, Any]:
    """Return a Markdown row with the names of the other forms."""
    match = _TEST.fullmatch(row["test"])
    prompt, gen, depth = match.groups() if match else (None, None, None)
    named = {name: row[column] for column, name in _COLUMNS.items() if column in row}
    return {
        **named, "n_prompt": prompt or "0", "n_gen": gen or "0", "n_depth": depth or "0",
        "avg_ts": row["t/s"].partition("±")[0].strip(), "model_type": row.get("model", ""),
        "backends": row.get("backend", ""), "model_n_params": _scaled(row.get("params", ""), _COUNTS),
        "model_size": _scaled(row.get("size", ""), _SIZES),
    }  # fmt: skip


def run_of_record(record: Mapping[str, Any], source: str) -> BenchmarkRun | str:
    """Return the run of one row, or why it is none: it mixes prompt and answer, or its numbers are none."""
    rate = _number(record.get("avg_ts"))
    prompt, output = _whole(record.get("n_prompt")), _whole(record.get("n_gen"))
    depth = _whole(record.get("n_depth", 0))
    if rate is None:
        return f"a speed of {str(record.get('avg_ts'))[:20]!r} cannot be measured"
    if prompt is None or output is None or depth is None:
        return "its numbers of tokens are none"
    if bool(prompt) is bool(output):
        return "it does not time prompts or answers alone"
    build = str(record.get("build_number") or "")
    return BenchmarkRun(
        engine="llama.cpp", version=f"b{build}" if build.isdigit() else "",
        model=str(record.get("model_filename") or record.get("model_type") or ""),
        weights=str(record.get("model_type") or ""), parameters=_positive(record.get("model_n_params")),
        size_bytes=_positive(record.get("model_size")), device=str(record.get("gpu_info") or ""),
        backend=_backend(str(record.get("backends") or "")),
        options=tuple(_options(record)), prompt_tokens=prompt, output_tokens=output, cached_tokens=depth,
        prefill=rate if prompt else None, decode=rate if output else None, source=source,
    )  # fmt: skip


def _options(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = []
    for key, name in _OPTIONS.items():
        value = record.get(key)
        if value is not None and str(value) != "":
            text = "on" if value is True else "off" if value is False else str(value)
            found.append((name, {"1": "on", "0": "off"}.get(text, text) if key in _SWITCHES else text))
    return found


_COUNTS: Final = {"M": 1e6, "B": 1e9}
_SIZES: Final = {"KiB": 1024.0, "MiB": 1024.0**2, "GiB": 1024.0**3, "TiB": 1024.0**4}
_SWITCHES: Final = frozenset({"flash_attn", "no_kv_offload"})


def _backend(text: str) -> str:
    first = text.lower().split(",", maxsplit=1)[0].strip()
    return next((name for word, name in _BACKENDS.items() if first.startswith(word)), "")


def _scaled(text: str, units: Mapping[str, float]) -> float | None:
    """Return a number with its unit, as a table prints it: ``6.74 B``, ``3.56 GiB``."""
    number, _, unit = text.partition(" ")
    stated = _positive(number)
    return stated * units[unit.strip()] if stated and unit.strip() in units else None


def _positive(value: object) -> float | None:
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if isfinite(number) and number > 0 else None


def _number(value: object) -> float | None:
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if possible(number) else None


def _whole(value: object) -> int | None:
    text = str(value).strip()
    if not text.isdecimal() or len(text) > 10:  # noqa: PLR2004 - no test has more tokens
        return None
    return int(text) if int(text) <= MOST_TOKENS else None
