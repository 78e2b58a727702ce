"""Tabulate measured speeds for the fit and the replay: ``python tools/tabulate_speed.py FOLDER``.

FOLDER holds ``llamacpp_bench.csv`` and ``mlx_bench.csv``. What is kept is one line per measurement in the
project's own words: the device by its catalogue name, the model by its catalogue name, the setting, the two
rates and the source. Rows that contradict others or that measure something else keep their place, with the
reason in ``left_out``; nothing is dropped silently.
"""

import csv
import re
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

TARGET = Path(__file__).parent.parent / "src/hwledger/accuracy/data/speed.csv"
NAMES = Path(__file__).parent / "speed"
HEADS = (
    "engine", "backend", "driver", "build", "device", "devices", "model", "weights", "file_gib", "flash",
    "early", "wrapped", "micro_batch", "depth", "prompt", "prefill_tokens_per_second", "output",
    "decode_tokens_per_second", "rows", "source", "left_out", "prefill_left_out",
)  # fmt: skip
COUNTS = {"single": "1", "dual": "2"}
BUILD = re.compile(r"(?:^|\()(\d{4,5})(?:$|[)/])")  # "7423", "2f68ce7cf (6918)", "7941/7948"
DRIVERS = {"vulkan_amdvlk": "AMDVLK"}  # where nothing is said it is Mesa's RADV; AMD gave AMDVLK up in 2025
RATES = ("prefill_tokens_per_second", "decode_tokens_per_second")
OLLAMA_DEPTH = 50
EARLY_CHIP = re.compile(r"Apple M[123]\b")
# pages whose commands state -ub 2048 (ggml-org/llama.cpp pull 16894 prints it); llama-bench's default is 512
MICRO_BATCHES = {"discussions/15396": "2048", "dgx-spark.md": "2048", "mac-m2-ultra.md": "2048"}


def names(file: str) -> dict[str, dict[str, str]]:
    """Return a table of names: what a source writes, and what the catalogue calls it."""
    with (NAMES / file).open(encoding="utf-8") as lines:
        return {row["name"]: row for row in csv.DictReader(lines)}


def source(url: str) -> str:
    """Return an address without its scheme and branch."""
    return re.sub(r"^https://|/blob/[^/]+", "", url.partition(" ")[0])


def is_of_2023(row: dict[str, str]) -> bool:
    """Whether a row is one of the table of Apple chips that was made with one build of November 2023."""
    chip = EARLY_CHIP.match(row["gpu"])
    return "8e672ef" in row["build"] and bool(chip) and "M3 Ultra" not in row["gpu"]


def llama_cpp(folder: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of llama.cpp, builds of one toolbox together."""
    models, devices = names("models.csv"), names("devices.csv")
    together: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row in csv.DictReader((folder / "llamacpp_bench.csv").open(encoding="utf-8")):
        model = models[row["model"]]
        backend, _, build = row["backend"].partition(":")
        wrapped = backend.startswith("ollama")
        made = {
            "engine": "llama.cpp",
            "backend": "" if wrapped else backend,
            "driver": DRIVERS.get(build, ""),
            "build": next(iter(BUILD.findall(row["build"])), ""),
            "device": devices[row["gpu"]]["catalogue"],
            "devices": COUNTS.get(row["n_gpu"], row["n_gpu"]),
            "model": model["catalogue"],
            "weights": models[row["quant"]]["catalogue"],
            "file_gib": row["size_GiB"],
            "flash": "" if wrapped else {"1": "on", "0": "off"}[row["fa"]],
            "early": "yes" if row["date"] == "2024-05" or is_of_2023(row) else "",
            "wrapped": "ollama" if wrapped else "",
            "micro_batch": next((size for page, size in MICRO_BATCHES.items() if page in row["url"]), "512"),
            "depth": row["depth"] or (str(OLLAMA_DEPTH) if wrapped else "0"),
            "prompt": row["pp_test"].removeprefix("pp") if row["pp_tps"] else "",
            "prefill_tokens_per_second": row["pp_tps"],
            "output": "300" if wrapped else row["tg_test"].removeprefix("tg"),
            "decode_tokens_per_second": row["tg_tps"],
            "source": source(row["url"]),
            "left_out": model["left_out"],
        }
        if "host:" in row["backend"]:
            made["left_out"] = (
                "the host is a single-board computer with one PCIe lane: it is the host that is measured"
            )
        if build.startswith("rocm"):
            if build.endswith("-hblt0"):  # hipBLASLt switched off by hand: seven times slower in bf16
                made["prefill_tokens_per_second"] = ""
            together.setdefault(tuple(made[h] for h in HEADS if h in made and h not in RATES), []).append(
                made
            )
        else:
            yield made | {"rows": "1"}
    for alike in together.values():
        yield merged(alike)


def merged(alike: list[dict[str, str]]) -> dict[str, str]:
    """Return the medians of the same case under several builds of one backend."""
    rates = {}
    for name in RATES:
        values = [float(row[name]) for row in alike if row[name]]
        rates[name] = f"{statistics.median(values):.5g}" if values else ""
    return alike[0] | rates | {"rows": str(len(alike)), "backend": "ROCm"}


def mlx(folder: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of engines that run on MLX."""
    models, devices = names("models.csv"), names("devices.csv")
    for row in csv.DictReader((folder / "mlx_bench.csv").open(encoding="utf-8")):
        model, device = models[row["model"]], devices[row["chip"] + "|" + row["memory_GB"].split(".")[0]]
        weights = model["weights"] or models[row["quant"]]["catalogue"]
        reason = model["left_out"] or device["left_out"]
        engine = row["engine"].split()[0].removesuffix("-lm")
        if "presumed" in row["note"]:
            reason = "the chip is presumed, and the same model is listed 20 to 35 % faster on it"
        if row["concurrency"] != "1":
            reason = "several requests at once"
        yield {
            "engine": "mlx", "backend": "MLX", "driver": "", "build": "", "device": device["catalogue"],
            "devices": "1", "model": model["catalogue"], "weights": weights, "file_gib": "", "flash": "on",
            "early": "", "wrapped": "" if engine == "mlx" else engine, "micro_batch": "2048", "depth": "0",
            "prompt": row["prompt_tokens"] if row["prompt_tps"] else "",
            "prefill_tokens_per_second": row["prompt_tps"],
            "output": f"{float(row['gen_tokens'] or 256):.0f}", "decode_tokens_per_second": row["gen_tps"],
            "rows": "1", "source": source(row["url"]), "left_out": reason,
        }  # fmt: skip


def exclusions() -> list[dict[str, str]]:
    """Return the rules that leave rows out: values of columns, and the reason."""
    with (NAMES / "left_out.csv").open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def matches(row: dict[str, str], rule: dict[str, str]) -> bool:
    """Whether a rule speaks of a row: every column that it names is equal, and the rate is within bounds."""
    rate = float(row["decode_tokens_per_second"] or 0)
    within = float(rule["slower_than"] or "inf") > rate > float(rule["faster_than"] or "-inf")
    columns = (c for c in rule if c in HEADS and "left_out" not in c and rule[c])
    return within and all(row[column] == rule[column] for column in columns)


def main(folder: Path) -> None:
    """Write the table."""
    rules = exclusions()
    rows = [*llama_cpp(folder), *mlx(folder)]
    for row in rows:
        for rule in rules:
            if not row["left_out"] and matches(row, rule):
                row["left_out"] = rule["left_out"]
                row["prefill_left_out"] = rule["prefill_left_out"]
    with TARGET.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, HEADS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
