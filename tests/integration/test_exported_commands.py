"""Exported commands, run: the engines that can run here start from them and hold what was planned.

They are in the dependency group ``engines`` (``make engines``); where an engine is absent, its test is
skipped, with the reason.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hwledger.library.source import open_model
from hwledger.planner.export import export
from hwledger.planner.plan import Plan
from support import tiny
from support.engines import ask, free_port, needs, running
from support.exports import command_of, make

pytestmark = [pytest.mark.enable_socket, pytest.mark.requirement("FR-EXPORT-RUNS")]


def script_of(made: Plan, target: str, port: int) -> str:
    """Return the exported script with another port in it."""
    text = export(made, target)
    assert "--port 8080" in text
    return text.replace("--port 8080", f"--port {port}")


def test_llama_server_runs_what_was_planned(smollm: Path, llama_server: Path, tmp_path: Path) -> None:
    """The exported command starts a real llama-server with the planned slots and context, and it answers."""
    model = tmp_path / "a model's file.gguf"
    model.symlink_to(smollm)
    spec = open_model(str(model))
    made = make(spec, context=512, concurrency=3, kv_cache="q8_0", options={"n_gpu_layers": 0, "mmap": "off"})
    port = free_port()
    with running(script_of(made, "llama.cpp", port), port, tmp_path, str(llama_server)) as address:
        props = ask(f"{address}/props")
        assert props["total_slots"] == made.memory.concurrency
        assert props["default_generation_settings"]["n_ctx"] == made.memory.context_tokens
        answer = ask(f"{address}/completion", {"prompt": "The sky is", "n_predict": 4})
        assert answer["tokens_predicted"] == 4


OPTIONS = [
    {}, {"kv_unified": True, "n_parallel": 4}, {"flash_attn": "off"}, {"swa_full": True},
    {"no_kv_offload": True},
    {"n_cpu_moe": 3}, {"cpu_moe": True}, {"op_offload": False}, {"mmap": False}, {"load_mtp": True},
    {"cache_type_k": "q8_0", "cache_type_v": "q4_0"}, {"n_batch": 300, "n_ubatch": 100},
    {"split_mode": "none", "main_gpu": 1},
    {"n_gpu_layers": 7},
]  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_llama_cpp_reads_the_planned_settings(options: dict[str, object], smollm: Path) -> None:
    """llama.cpp's own parser takes every exported flag and reads the planned numbers from it."""
    needs("xllamacpp")
    made = make(open_model(str(smollm)), "2x RTX 4090", context=700, concurrency=2, options=options)
    words = command_of(export(made, "llama.cpp"))
    code = (
        "import json, sys, xllamacpp; from hwledger.runner.xllamacpp_server import parse;"
        " p = parse(xllamacpp, sys.argv[1:])"
    )
    names = ("n_ctx", "n_parallel", "n_batch", "n_ubatch", "n_gpu_layers", "main_gpu", "kv_unified",
             "swa_full", "no_kv_offload", "fit_params", "no_op_offload")  # fmt: skip
    show = (
        f"print(json.dumps({{n: getattr(p, n) for n in {names!r}}} | {{'split': list(p.tensor_split[:2])}}))"
    )
    ran = subprocess.run([sys.executable, "-c", f"{code}; {show}", *words],
                         capture_output=True, text=True, check=False)  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    read, told = json.loads(ran.stdout.splitlines()[-1]), made.memory.options
    for name in (
        "n_ctx",
        "n_parallel",
        "n_batch",
        "n_ubatch",
        "n_gpu_layers",
        "kv_unified",
        "swa_full",
        "no_kv_offload",
    ):
        assert read[name] == told[name], name
    assert read["no_op_offload"] is not told["op_offload"]
    assert read["fit_params"] is False
    assert sum(read["split"]) == (0 if options.get("split_mode") == "none" else told["n_gpu_layers"])


def tokenizer() -> dict[str, bytes]:
    """Return the files of a tokenizer with one word per id."""
    vocabulary = {f"w{index}": index for index in range(tiny.VOCAB)}
    model = {"type": "WordLevel", "vocab": vocabulary, "unk_token": "w0"}
    whole = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
             "pre_tokenizer": {"type": "Whitespace"}, "post_processor": None, "decoder": None,
             "model": model}  # fmt: skip
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "w1", "unk_token": "w0"}
    return {
        "tokenizer.json": json.dumps(whole).encode(),
        "tokenizer_config.json": json.dumps(settings).encode(),
    }


@pytest.mark.parametrize("weights", [None, "4bit"])
def test_mlx_server_runs_what_was_planned(weights: str | None, tmp_path: Path) -> None:
    """The exported command converts where the plan packs, starts a real mlx_lm.server, and it answers."""
    needs("mlx-lm")
    beside = Path(sys.executable).parent
    folder = tmp_path / "tiny"
    folder.mkdir()
    for name, content in {
        **tiny.plain(),
        **tokenizer(),
        "config.json": tiny.config(rms_norm_eps=1e-5),
    }.items():
        (folder / name).write_bytes(content)
    made = make(open_model(str(folder)), engine="mlx", context=64, concurrency=2, weights=weights)
    port = free_port()
    with running(script_of(made, "mlx", port), port, tmp_path, str(beside)) as address:
        answer = ask(f"{address}/v1/completions", {"prompt": "w5 w6", "max_tokens": 3})
        assert answer["usage"]["completion_tokens"] == 3
    assert (tmp_path / "tiny-4bit" / "config.json").is_file() == (weights == "4bit")
