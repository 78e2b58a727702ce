"""Re-tabulate published serving measurements: ``python tools/tabulate_serving.py server_bench.csv``.

Writes ``src/hwledger/accuracy/data/serving.csv``: closed-loop rows of vLLM, SGLang and TensorRT-LLM with
both TTFT and TPOT, one row per measurement (the public tables hold many of them two to four times), the
ranks as they were run, and why a row is left out of the fit where it is.
"""

import csv
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

TARGET = Path(__file__).parent.parent / "src/hwledger/accuracy/data/serving.csv"
COLUMNS = ("model", "weights", "cache", "engine", "version", "device", "tp", "ep", "dp", "prompt", "output",
           "lengths", "concurrency", "polled", "gathered", "ttft_ms", "tpot_ms", "date", "left_out",
           "source")  # fmt: skip
ENGINES = {"vllm": "vllm", "sglang": "sglang", "trtllm": "tensorrt-llm"}
DEVICES = {"h100_sxm": "H100 SXM 80GB", "h200_sxm": "H200 SXM", "b200_sxm": "B200", "b300_sxm": "B300",
           "gb200": "GB200", "gb300": "GB300"}  # fmt: skip
SOURCES = {
    "aiconfigurator silicon_sample.csv (InferenceX export)": "InferenceX",
    "aiconfigurator silicon_sample.csv (InferenceX db-dump 2026-04-27)": "InferenceX",
    "aiconfigurator silicon_sample.csv (NVIDIA internal gap-analysis)": "NVIDIA",
}
MODELS = {  # name in the source: (name in the catalogue, weights that it holds)
    "deepseek-ai/DeepSeek-R1": ("deepseek-ai/DeepSeek-R1", "fp8"),
    "deepseek-ai/DeepSeek-V3": ("deepseek-ai/DeepSeek-R1", "fp8"),
    "nvidia/DeepSeek-R1-NVFP4": ("deepseek-ai/DeepSeek-R1", "fp8"),
    "nvidia/DeepSeek-V3.1-NVFP4": ("deepseek-ai/DeepSeek-R1", "fp8"),
    "MiniMaxAI/MiniMax-M2.5": ("MiniMaxAI/MiniMax-M2.5", "fp8"),
    "openai/gpt-oss-120b": ("openai/gpt-oss-120b", "fp4"),
    "meta-llama/Llama-3.1-70B": ("meta-llama/Meta-Llama-3.1-70B", "bf16"),
    "meta-llama/Llama-3.1-8B-Instruct": ("meta-llama/Meta-Llama-3.1-8B", "bf16"),
    "Qwen/Qwen3.5-397B-A17B": ("Qwen/Qwen3.5-397B-A17B", "bf16"),
    "Qwen/Qwen3-235B-A22B-FP8": ("Qwen/Qwen3-235B-A22B", "bf16"),
    "Qwen/Qwen3-32B": ("Qwen/Qwen3-32B", "bf16"),
    "nvidia/Qwen3-32B-NVFP4": ("Qwen/Qwen3-32B", "bf16"),
    "moonshotai/Kimi-K2.5": ("moonshotai/Kimi-K2.5", "int4"),
    "zhipuai/GLM-5": ("zai-org/GLM-5", "bf16"),
}
PACKINGS = {"fp8": "fp8", "fp4": "nvfp4", "int4": "int4"}
RANKS = re.compile(r"_tp(\d+)(?:_0)?_ep(\d+)(?:_0)?_\d+$")
BUSY, BUSIER, MANY, WHOLE_NODE = 16, 64, 256, 8
"""Requests at once, and ranks, at which the recipes change their scheduler's settings."""
SAME = 0.004
"""Rows of one setting whose figures agree this closely are one measurement, printed with other digits."""


def ranks(row: dict[str, str]) -> tuple[int, int, int]:
    """Return TP, EP and DP as they were run.

    The export multiplies ranks that overlap (TP4 EP4 on 4 devices stands as tp 16, n_gpu 16); the row's
    own label has them right, and the same measurement often stands beside it with both right.
    """
    tp, ep, dp = (int(row[name] or 1) or 1 for name in ("tp", "ep", "dp_attn"))
    label = RANKS.search(row["note"])
    if label:
        tensor, expert = int(label[1]), int(label[2])
        return (1, expert, tensor) if tp == 1 and dp > 1 else (tensor, expert, 1)
    if SOURCES[row["source"]] == "NVIDIA":
        return tp, ep, 1
    for wide, real in (((16, 4), 4), ((4, 16), 4), ((64, 8), 8), ((4, 2), 2), ((2, 4), 2)):
        if (tp, ep) == wide:
            return real, real, 1
    return tp, ep, dp


def left_out(row: dict[str, str]) -> str:
    """Return why a row cannot show what the model predicts; empty where it can."""
    engine, version, date = row["engine"], row["engine_version"], row["date"]
    deepseek = "DeepSeek" in row["model"]
    if SOURCES[row["source"]] == "NVIDIA" and version.startswith("1.3.0rc1"):
        return "TPOT does not depend on concurrency: another load than the closed loop it is labelled as"
    if version.startswith("1.3.0rc5"):
        return "prompts prefilled faster than the peak rate allows: mostly cached"
    if (
        engine == "trtllm"
        and deepseek
        and (version == "1.2.0rc6.post3" or (version == "1.1.0rc2.post2" and date >= "2026-01"))
    ):
        return "MTP, unlabelled: up to twice as fast as the neighbouring version at the same setting"
    if engine == "sglang" and deepseek and row["precision"] == "fp4" and date == "2025-11-10":
        return "TTFT of 8 s from 32 short prompts on: an unlabelled scheduler setting"
    if engine == "vllm" and "gpt-oss" in row["model"] and row["concurrency"] == "512":
        return "batch capped far under the concurrency by an unlabelled setting: TPOT of 5 ms at 512"
    return ""


def read(path: Path) -> Iterator[dict[str, str]]:
    """Yield the tabulated rows, duplicates included."""
    with path.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["source"] not in SOURCES or row["mode"] != "agg" or not row["concurrency"]:
                continue
            if not (row["tpot_ms"] and row["ttft_ms"]) or row["model"] not in MODELS:
                continue
            model, held = MODELS[row["model"]]
            precision = "fp4" if "gpt-oss" in model else row["precision"] or "bf16"
            tp, ep, dp = ranks(row)
            yield {
                "model": model, "weights": "" if precision == held else PACKINGS[precision],
                "cache": "fp8" if precision in {"fp8", "fp4"} else "bf16",
                "engine": ENGINES[row["engine"]], "version": row["engine_version"],
                "device": DEVICES[row["gpu"]], "tp": str(tp), "ep": str(ep), "dp": str(dp),
                "prompt": row["isl"], "output": row["osl"],
                "lengths": "0.9" if SOURCES[row["source"]] == "InferenceX" else "1",
                "concurrency": row["concurrency"], "ttft_ms": f"{float(row['ttft_ms']):.1f}",
                "tpot_ms": f"{float(row['tpot_ms']):.3f}", "date": row["date"], "left_out": left_out(row),
                "source": SOURCES[row["source"]],
            }  # fmt: skip


def distinct(rows: Iterator[dict[str, str]]) -> list[dict[str, str]]:
    """Return one row per measurement; versions and dates are taken from whichever copy has them."""
    known: dict[tuple[str, ...], list[dict[str, str]]] = defaultdict(list)
    settings = [c for c in COLUMNS if c not in {"version", "date", "ttft_ms", "tpot_ms", "left_out", "source",
                                                "lengths", "polled", "gathered"}]  # fmt: skip
    for row in rows:
        alike = known[tuple(row[name] for name in settings)]
        same = next((each for each in alike if agree(each, row)), None)
        if same is None:
            alike.append(row)
            continue
        for name in ("version", "date", "left_out"):
            same[name] = same[name] or row[name]
        same["lengths"] = min(same["lengths"], row["lengths"])
    return [row for alike in known.values() for row in alike]


def scheduled(row: dict[str, str]) -> dict[str, str]:
    """Return what the published recipe of a row sets its scheduler to; empty where it sets nothing.

    polled: SGLang's ``--scheduler-recv-interval``; gathered: TensorRT-LLM's ``batch_wait_timeout_iters``.
    """
    set_by = {"sglang": polled, "tensorrt-llm": gathered}.get(row["engine"])
    steps = set_by(row) if set_by and row["source"] == "InferenceX" else 0
    name = "polled" if row["engine"] == "sglang" else "gathered"
    return {"polled": "", "gathered": ""} | ({name: str(steps)} if steps else {})


def polled(row: dict[str, str]) -> int:
    """Return the steps between two looks of SGLang, by the recipe of model, packing, device and ranks."""
    model, weights, device = row["model"], row["weights"], row["device"]
    if device == "H200 SXM" or ("GLM" in model and weights == "fp8"):
        return 0
    if "GLM" in model or ("DeepSeek" in model and not weights and row["tp"] == "4"):
        return 10
    if "Qwen3.5" in model and weights == "nvfp4" and device == "B200":
        return 30
    if "Qwen3.5" in model and weights == "fp8" and row["version"] == "0.5.10.post1":
        return 10
    return 30 if int(row["concurrency"]) >= BUSY else 10


def gathered(row: dict[str, str]) -> int:
    """Return the steps that TensorRT-LLM lets prompts wait for others, by the recipe."""
    if (row["prompt"], row["output"]) != ("1024", "1024"):
        return 0
    if "Llama-3.1-70B" in row["model"] and int(row["tp"]) < WHOLE_NODE:
        return 20
    late = row["date"] >= "2026" and "DeepSeek" in row["model"] and not row["weights"]
    return 40 if late and BUSIER <= int(row["concurrency"]) < MANY else 0


def agree(one: dict[str, str], other: dict[str, str]) -> bool:
    """Return whether two rows show the same figures."""
    return all(abs(float(one[n]) / float(other[n]) - 1) < SAME for n in ("ttft_ms", "tpot_ms"))


def main() -> None:
    """Write the table."""
    rows = [row | scheduled(row) for row in distinct(read(Path(sys.argv[1])))]
    rows = sorted(rows, key=lambda row: [row[name] for name in COLUMNS[:8]])
    with TARGET.open("w", encoding="utf-8", newline="") as file:
        file.write(NOTES)
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(len(rows), Counter(row["left_out"] for row in rows).most_common())


NOTES = """\
# Serving measured in a closed loop: medians of TTFT and TPOT, (total - TTFT) / (tokens - 1), in milliseconds.
# InferenceX: SemiAnalysisAI/InferenceX, published in ai-dynamo/aiconfigurator systems/silicon_sample.csv;
# lengths are uniform in 0.8 .. 1 of prompt and output (its random range ratio), so the mean is 0.9 of them.
# NVIDIA: the gap analysis in the same file; fixed lengths.
# polled, gathered: decoding steps from one look for prompts to the next (scheduler-recv-interval), and
# those that a prompt waits for others (batch_wait_timeout_iters), as InferenceX' recipes (benchmarks/*.sh)
# set them for the row's model, packing, device, ranks, lengths and concurrency; empty: not set.
# weights: how the model of the catalogue was re-packed; empty: as it is. cache: number type of the KV cache,
# the recipes' usual one, not printed in the source. left_out: why the row is not fitted and not judged.
"""

if __name__ == "__main__":
    main()
