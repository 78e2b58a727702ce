"""Tabulate measurements for ``hwledger accuracy``: ``python tools/tabulate_cases.py FOLDER``.

FOLDER holds the collected measurements (``model_params.json``, ``llamacpp_measured.csv`` …). Only the
columns that a replay needs are kept, in the project's own format, with a source per table or row.
"""

import csv
import json
import sys
from collections.abc import Iterable
from pathlib import Path

TARGET = Path(__file__).parent.parent / "src/hwledger/accuracy/data"


def write(name: str, heads: list[str], lines: Iterable[list[object]]) -> None:
    """Write one table."""
    with (TARGET / name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(heads)
        writer.writerows(lines)


def parameters(folder: Path) -> None:
    """Total and active parameters as transformers builds the classes."""
    index = {
        row["file"]: row["model_id"] for row in csv.DictReader((folder / "model_configs/index.csv").open())
    }
    catalogue = TARGET.parent.parent / "library/data/catalogue.jsonl"
    known = {
        json.loads(line)["id"] for line in catalogue.read_text("utf-8").splitlines() if line.startswith("{")
    }
    counts = json.loads((folder / "model_params.json").read_text())
    lines = [
        [index[f"{key}.json"], value["total"], value["active"], f"transformers 5.23.0 {value['built_as']}"]
        for key, value in counts.items()
        if value.get("ok") and index.get(f"{key}.json") in known
    ]
    write("parameters.csv", ["model", "total", "active", "source"], lines)


def shapes(folder: Path) -> None:
    """GGUF hyper-parameters of the measured shapes, one JSON object per line."""
    lines = []
    for row in csv.DictReader((folder / "gguf_shapes.csv").open()):
        keys = json.loads(row["hparams_json"])
        fact = {"model": row["model"], "arch": row["arch"], "weights": int(row["weight_bytes"]), "keys": keys}
        lines.append(json.dumps(fact, sort_keys=True, separators=(",", ":")))
    (TARGET / "shapes.jsonl").write_text("\n".join(lines) + "\n", "utf-8")


def contexts(folder: Path) -> None:
    """Contexts that libllama itself reported, on one device."""
    heads = [
        "model",
        "build",
        "place",
        "n_ctx",
        "n_ubatch",
        "n_seq_max",
        "kv_unified",
        "flash_attn",
        "type_k",
        "type_v",
        "swa_full",
        "n_outputs_max",
        "n_rs_seq",
        "context",
        "compute",
        "host_compute",
    ]
    lines = [
        [row["model"], row["source_build"], row["device"], row["n_ctx"], row["n_ubatch"], row["n_seq_max"],
         row["kv_unified"], row["flash_attn"], row["type_k"], row["type_v"], row["swa_full"],
         row["n_outputs_max"], row["n_rs_seq"], row["context_bytes"], row["compute_bytes"],
         row["host_compute_bytes"]]
        for row in csv.DictReader((folder / "llamacpp_measured.csv").open())
        if row["device"] in {"CPU", "1 GPU"}
    ]  # fmt: skip
    write("llama_cpp_contexts.csv", heads, lines)


def main() -> None:
    """Write every table."""
    folder = Path(sys.argv[1])
    TARGET.mkdir(parents=True, exist_ok=True)
    for table in (parameters, shapes, contexts):
        table(folder)


if __name__ == "__main__":
    main()
