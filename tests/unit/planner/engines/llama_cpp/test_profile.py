"""llama.cpp's memory: hand-computed cases, and everything that libllama reported."""

import ast
import csv
import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from hwledger.device.spec import DeviceSpec
from hwledger.errors import UnknownOptionError, UsageError
from hwledger.model.number_types import number_type
from hwledger.model.spec import ModelSpec
from hwledger.planner.engines.llama_cpp.context import Wanted, resolve
from hwledger.planner.memory import HOST, Category
from hwledger.planner.plan import Plan, plan
from hwledger.units import GIB, MIB
from support.gguf_models import LLAMA_8B, decoder_tensors, model

GEMMA = {
    "block_count": 12, "embedding_length": 256, "feed_forward_length": 512, "vocab_size": 2048,
    "context_length": 32768, "attention.head_count": 4, "attention.head_count_kv": 2,
    "attention.key_length": 64, "attention.value_length": 64, "attention.sliding_window": 512,
}  # fmt: skip


def llama_plan(spec: ModelSpec, options: dict[str, object], **rest: object) -> Plan:
    """Plan on llama.cpp."""
    return plan(spec, engine="llama.cpp", options=options, suggest=False, **rest)  # type: ignore[arg-type]


def cached(made: Plan, place: int | None = None) -> int:
    """Return KV and state of one place, or of all."""
    kinds = (Category.KV_CACHE, Category.STATE)
    parts = [c for c in made.memory.components if c.category in kinds]
    return sum(c.size_bytes for c in parts if place in {None, c.place})


def weights(made: Plan) -> dict[int, int]:
    """Return the weights of each place."""
    return {c.place: c.size_bytes for c in made.memory.components if c.category is Category.WEIGHTS}


def card(size_bytes: int) -> DeviceSpec:
    """Return a device of this size whose memory is all free."""
    return DeviceSpec(name="card", vendor="NVIDIA", memory_bytes=size_bytes, usable_bytes=size_bytes)


@pytest.mark.requirement("FR-PLAN-KV", "FR-PLAN-LLAMACPP")
@pytest.mark.parametrize(
    ("options", "cells"),
    [
        ({"n_ctx": 4096}, 4096),
        ({"n_ctx": 1000}, 1024),
        ({"n_ctx": 1000, "n_parallel": 3}, 3 * 512),
        ({"n_ctx": 1000, "n_parallel": 3, "kv_unified": "on"}, 1024),
    ],
)
def test_cells(options: dict[str, object], cells: int) -> None:
    """The context is padded to 256, and again per sequence: 8B Llama takes 128 KiB per cell."""
    assert cached(llama_plan(model("llama", LLAMA_8B), options)) == cells * 32 * 2 * 8 * 128 * 2


@pytest.mark.requirement("FR-PLAN-KV", "FR-PLAN-LLAMACPP")
@pytest.mark.parametrize(
    ("options", "cells"),
    [
        ({"n_ctx": 8192}, 512 + 512),
        ({"n_ctx": 8192, "n_ubatch": 2048}, 512 + 2048),
        ({"n_ctx": 512}, 512),
        ({"n_ctx": 8192, "swa_full": "on"}, 8192),
        ({"n_ctx": 8192, "n_parallel": 4, "kv_unified": "on"}, 4 * 512 + 512),
    ],
)
def test_windows(options: dict[str, int], cells: int) -> None:
    """Ten of twelve layers keep the windows and one batch, two the whole context."""
    made = llama_plan(model("gemma3", GEMMA), options)
    assert cached(made) == (10 * cells + 2 * options["n_ctx"]) * 2 * 2 * 64 * 2


@pytest.mark.requirement("FR-PLAN-KV")
def test_quantised_cache() -> None:
    """q8_0 takes 34 bytes for 32 elements; V may stay in f16."""
    spec = model("llama", LLAMA_8B)
    assert cached(llama_plan(spec, {"n_ctx": 4096}, kv_cache="q8_0")) == 4096 * 32 * 2 * 1024 * 34 // 32
    mixed = llama_plan(spec, {"n_ctx": 4096, "cache_type_k": "q8_0"})
    assert cached(mixed) == 4096 * 32 * 1024 * (34 / 32 + 2)
    assert mixed.memory.kv_type == "q8_0 (K), f16 (V)"


@pytest.mark.requirement("FR-PLAN-LLAMACPP", "NFR-BAD-INPUT")
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"cache_type_v": "q8_0", "flash_attn": "off"}, "flash attention"),
        ({"n_parallel": 300}, "1 to 256 sequences"),
        ({"tensor_split": "1,1,1"}, "tensor_split names 3 devices"),
        ({"split_mode": "none", "main_gpu": 4}, "main_gpu is 4"),
        ({"n_ctx": -5}, "cannot be negative"),
    ],
)
def test_contradictions(options: dict[str, object], sentence: str) -> None:
    """Settings that llama.cpp refuses are refused with a sentence."""
    with pytest.raises(UsageError, match=sentence):
        llama_plan(model("llama", LLAMA_8B), options)


@pytest.mark.requirement("FR-PLAN-LLAMACPP", "NFR-BAD-INPUT")
@pytest.mark.parametrize("version", ["0.33.0", "latest", "b12", "b3999", ""])
def test_builds(version: str) -> None:
    """A version is a build number, and not an ancient one."""
    if not version:
        assert llama_plan(model("llama", LLAMA_8B), {}, engine_version="11063").request.version == "b11063"
        return
    with pytest.raises(UsageError, match="llama"):
        llama_plan(model("llama", LLAMA_8B), {}, engine_version=version)


@pytest.mark.requirement("FR-PLAN-KV", "NFR-BAD-INPUT")
def test_unknown_cache_type() -> None:
    """A cache type that llama.cpp has not is refused, with those that it has."""
    with pytest.raises(UnknownOptionError, match="q8_0"):
        llama_plan(model("llama", LLAMA_8B), {}, kv_cache="fp8_e4m3")


@pytest.mark.requirement("FR-PLAN-KV", "NFR-BAD-INPUT")
def test_heads_of_broken_blocks() -> None:
    """A head of 80 elements is no whole number of q8_0 blocks: refused with flash attention only."""
    spec = model("llama", {**LLAMA_8B, "attention.key_length": 80, "attention.value_length": 80})
    with pytest.raises(UsageError, match="head of 80 elements"):
        llama_plan(spec, {}, kv_cache="q8_0")
    made = llama_plan(spec, {"n_ctx": 256, "flash_attn": "off", "cache_type_k": "q8_0"})
    assert cached(made) == 256 * 32 * 8 * 80 * (34 / 32 + 2)


@pytest.mark.requirement("FR-PLAN-KV")
def test_index_caches() -> None:
    """DSA keeps one K row per layer with an indexer; block-sparse attention keeps an unread V beside it."""
    latent = {
        **LLAMA_8B, "block_count": 8, "attention.head_count_kv": 1, "attention.key_length": 576,
        "attention.value_length": 512, "attention.key_length_mla": 192, "attention.value_length_mla": 128,
        "attention.kv_lora_rank": 512, "attention.indexer.key_length": 128, "attention.indexer.top_k": 2048,
    }  # fmt: skip
    options = {"n_ctx": 4096}
    assert cached(llama_plan(model("deepseek32", latent), options)) == 4096 * 8 * (576 + 128) * 2
    some = {**latent, "attention.indexer.types": [1, 0] * 4}
    assert cached(llama_plan(model("glm-dsa", some), options)) == 4096 * (8 * 576 + 4 * 128) * 2
    long = {**latent, "context_length": 1 << 20}
    assert cached(llama_plan(model("glm-dsa", long), options)) == 4096 * (8 * 576 + 4 * 128) * 2
    sparse = {**LLAMA_8B, "block_count": 8, "leading_dense_block_count": 3,
              "attention.indexer.key_length": 128}  # fmt: skip
    made = llama_plan(model("minimax-m3", sparse), options)
    assert cached(made) == 4096 * (8 * 2 * 1024 + 5 * (128 + 128)) * 2


@pytest.mark.requirement("FR-PLAN-KV", "FR-PLAN-STATE")
def test_compressed_attention() -> None:
    """DeepSeek-V4: K-only windows in every layer (182.75 MiB in a real log), folded records beside them."""
    keys = {
        **LLAMA_8B, "block_count": 43, "attention.head_count_kv": 1, "attention.key_length": 512,
        "attention.value_length": 512, "attention.sliding_window": 128, "attention.indexer.key_length": 128,
        "attention.compress_ratios": [0] * 43,
    }  # fmt: skip
    options = {"n_ctx": 64000, "n_ubatch": 4096, "n_batch": 4096}
    assert cached(llama_plan(model("deepseek4", keys), options)) == round(182.75 * MIB)
    folded = {**keys, "attention.compress_ratios": [0] * 41 + [4, 128]}
    made = llama_plan(model("deepseek4", folded), options)
    records = 16128 * (512 + 128) * 2 + 512 * 512 * 2
    states = (2 * 8 * 2 * (512 + 128) + 2 * 128 * 512) * 4
    assert made.by_category[Category.KV_CACHE] == round(182.75 * MIB) + records
    assert made.by_category[Category.STATE] == states


@pytest.mark.requirement("FR-PLAN-WEIGHTS", "FR-PLAN-DEVICES")
@pytest.mark.parametrize(
    ("cards", "options", "expected"),
    [
        ((24, 24), {}, {0: 2_086_174_720, 1: 2_271_698_944, HOST: 295_501_824}),
        ((24, 12), {}, {0: 2_699_755_520, 1: 1_658_118_144, HOST: 295_501_824}),
        ((24,), {"n_gpu_layers": 20}, {0: 2_762_563_584, HOST: 1_890_811_904}),
        (
            (24, 24, 8),
            {},
            {0: 1_840_742_400, 1: 1_718_026_240, 2: 799_105_024, HOST: 295_501_824},
        ),
    ],
)
def test_placement(cards: tuple[int, ...], options: dict[str, object], expected: dict[int, int]) -> None:
    """The 8B Llama on one to three cards, as libllama b11063 placed it."""
    spec = model("llama", LLAMA_8B, decoder_tensors(LLAMA_8B, tied=False))
    made = llama_plan(spec, {"n_ctx": 8192, **options}, devices=tuple(card(size * GIB) for size in cards))
    assert weights(made) == expected


@pytest.mark.requirement("FR-PLAN-WEIGHTS")
def test_one_unknown_device_counts_each_tensor_once() -> None:
    """Without a device a tied embedding counts once; on a device the output is a second copy of it."""
    spec = model("llama", LLAMA_8B, decoder_tensors(LLAMA_8B, tied=True))
    once, embedding = 4_653_375_488 - 430_940_160, 295_501_824
    assert weights(llama_plan(spec, {})) == {0: once}
    assert weights(llama_plan(spec, {}, devices=(card(24 * GIB),))) == {0: once, HOST: embedding}
    assert weights(llama_plan(spec, {"n_gpu_layers": 0})) == {HOST: once}


@pytest.mark.requirement("FR-PLAN-DEVICES", "FR-PLAN-LLAMACPP")
def test_host_only() -> None:
    """Without layers on a device and without a device, all is in host memory."""
    made = llama_plan(model("llama", LLAMA_8B), {"n_gpu_layers": 0})
    assert {component.place for component in made.memory.components} == {HOST}


@pytest.mark.requirement("FR-PLAN-STATE")
def test_rollback_states() -> None:
    """Four slots with two roll-back states each take twelve rows; other families keep none."""
    keys = {**GEMMA, "ssm.conv_kernel": 4, "ssm.inner_size": 512, "ssm.state_size": 64,
            "ssm.time_step_rank": 8, "ssm.group_count": 4}  # fmt: skip
    row = 9 * 4 * (3 * (512 + 2 * 4 * 64) + 64 * 512)
    options = {"n_parallel": 4, "n_rs_seq": 2}
    assert llama_plan(model("qwen35", keys), options).by_category[Category.STATE] == 12 * row
    made = llama_plan(model("qwen3next", keys), options)
    assert made.by_category[Category.STATE] == 4 * row
    assert "n_rs_seq is ignored" in made.memory.warnings[0]


@pytest.mark.requirement("FR-PLAN-KV")
def test_mtp_blocks_by_build() -> None:
    """b10229 caches the MTP block as one more layer, b11063 does not."""
    spec = model("glm4moe", {**LLAMA_8B, "nextn_predict_layers": 1})
    old, new = (llama_plan(spec, {"n_ctx": 4096}, engine_version=build) for build in ("b10229", "b11063"))
    assert (cached(old), cached(new)) == (32 * 16 * MIB, 31 * 16 * MIB)


@pytest.mark.requirement("NFR-SPEED")
def test_cells_of_arrays() -> None:
    """The window formula takes arrays of contexts and gives what each number gives."""
    f16 = number_type("f16")
    lengths = np.array([256, 1024, 8192], dtype=np.int64)
    one = resolve(Wanted(n_ctx=8192, type_k=f16, type_v=f16), 11549)
    needed = [min(int(n), 512 + 512) for n in lengths]
    many = replace(one, n_ctx_seq=lengths)  # type: ignore[arg-type]
    assert list(many.window_cells(512)) == needed  # type: ignore[call-overload]


@cache
def measured_shapes(folder: Path) -> dict[str, ModelSpec]:
    """Return the measured shapes as models, from their metadata."""
    with (folder / "gguf_shapes.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {row["model"]: model(row["arch"], json.loads(row["hparams_json"])) for row in rows}


def measured(folder: Path, *, several: bool) -> list[dict[str, str]]:
    """Return the measured contexts, of one place or of several devices."""
    with (folder / "llamacpp_measured.csv").open(encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["mode"].endswith("GPUs") == several]


def options_of(row: dict[str, str]) -> dict[str, object]:
    """Return the settings of one measured row."""
    names = ("n_ctx", "n_batch", "n_ubatch", "n_seq_max", "kv_unified", "flash_attn", "swa_full",
             "n_outputs_max", "n_rs_seq")  # fmt: skip
    stated: dict[str, object] = {name: row[name] for name in names if row[name]}
    return {**stated, "cache_type_k": row["type_k"], "cache_type_v": row["type_v"]}


@pytest.mark.requirement("FR-PLAN-KV", "FR-PLAN-STATE", "FR-PLAN-ACCURACY")
def test_every_measured_context(shared_data: Path) -> None:
    """KV and state equal libllama's own figure to the byte, in every context that was measured."""
    shapes = measured_shapes(shared_data)
    wrong = []
    for row in measured(shared_data, several=False):
        options = options_of(row)
        if row["device"] == "CPU":
            options["n_gpu_layers"] = 0
        made = llama_plan(shapes[row["model"]], options, engine_version=row["source_build"])
        if cached(made) != int(row["context_bytes"]):
            wrong.append((row["model"], options))
        output = made.by_category[Category.OUTPUT] / MIB
        assert f"{output:.2f}" == row["output_mib"]
    assert not wrong


@pytest.mark.requirement("FR-PLAN-DEVICES", "FR-PLAN-ACCURACY")
def test_every_measured_split(shared_data: Path) -> None:
    """Cache and state per device equal libllama's own figure to the byte, host included."""
    shapes = measured_shapes(shared_data)
    for row in measured(shared_data, several=True):
        setting = json.loads(row["extra"])
        devices = tuple(card(int(mib) * MIB) for mib in setting["gpus_mib"].split(","))
        options = {**options_of(row), **ast.literal_eval(setting["extra"])}
        made = llama_plan(shapes[row["model"]], options, devices=devices, engine_version=row["source_build"])
        place = HOST if row["device"] == "host" else int(row["device"].removeprefix("CUDA"))
        assert cached(made, place) == int(row["context_bytes"])
