"""Flags and values: each is in the engines' own lists, and each version gets its own spelling."""

import csv
import json
from functools import cache
from importlib.resources import files
from typing import Any

import pytest

from hwledger.errors import UsageError
from hwledger.library.commands.table import table
from hwledger.planner.engine import engine_profile
from hwledger.planner.export import TARGETS, export
from hwledger.planner.export.spelling import rows, spell, unreadable, word_of, words_of
from hwledger.planner.export.target import program
from hwledger.planner.plan import Plan
from support.exports import gguf_model, hub_model, make

pytestmark = pytest.mark.requirement("FR-EXPORT-FLAGS")
LISTS = {"vllm": "vllm", "sglang": "sglang", "llama.cpp": "llama_cpp", "mlx": "mlx", "mistralrs": "mistralrs"}


@pytest.mark.parametrize(
    "row", rows("flags"), ids=lambda row: f"{row['target']}-{row['option']}-{row['since']}"
)
def test_every_flag_is_in_the_engines_own_list(row: dict[str, str]) -> None:
    """What may be written, on or off, is a flag of the program's option table, by its exact name."""
    known = table(LISTS[row["target"]])
    for words in (row["flag"], row["off"]):
        if words:
            name = words.split()[0]
            plain = name.replace("--no-", "--", 1) if name not in known.flags else name
            assert plain in known.flags
            assert row["flag"] or row["off"]


@pytest.mark.parametrize("target", LISTS)
def test_spellings_of_one_option_never_overlap(target: str) -> None:
    """For any version there is at most one way to write an option."""
    found: dict[str, list[tuple[int, int]]] = {}
    for row in rows("flags"):
        if row["target"] == target and row["until"]:
            found.setdefault(row["option"], []).append((number(row["since"]), number(row["until"])))
    for row in rows("flags"):
        if row["target"] == target:
            others = found.get(row["option"], [])
            assert not [o for o in others if o[0] < number(row["since"]) <= o[1]]


def number(version: str) -> int:
    """Return a version as one number."""
    parts = [int(part) for part in version.split(".")]
    return sum(part * 1_000_000 ** (2 - index) for index, part in enumerate(parts))


@pytest.mark.parametrize(
    ("option", "value", "version", "words"),
    [
        ("flash_attn", True, "b6324", ("-fa",)),
        ("flash_attn", False, "b6324", ()),
        ("flash_attn", True, "b6325", ("-fa", "on")),
        ("flash_attn", False, "b11549", ("-fa", "off")),
        ("mmap", False, "b10228", ("--no-mmap",)),
        ("mmap", False, "b10229", ("--load-mode", "none")),
        ("mmap", True, "b10229", ()),
        ("n_cpu_moe", 7, "b6122", None),
        ("n_cpu_moe", 7, "b6123", ("--n-cpu-moe", "7")),
        ("kv_unified", False, "b7000", ()),
        ("kv_unified", False, "b7964", ("--no-kv-unified",)),
        ("fit", False, "b7000", None),
        ("tensor_split", (3.0, 1.5), "b5000", ("-ts", "3,1.5")),
    ],
)
def test_builds_of_llama_cpp(option: str, value: object, version: str, words: tuple[str, ...] | None) -> None:
    """Flags changed with the builds; a build gets the spelling that it was seen to take."""
    assert spell("llama.cpp", option, value, version) == words


@pytest.mark.parametrize(
    ("option", "value", "version", "words"),
    [
        ("swap_space", 4.0, "0.14.0", ("--swap-space", "4")),
        ("swap_space", 4.0, "0.33.0", None),
        ("mamba_cache_mode", "align", "0.14.0", None),
        ("mamba_cache_mode", "align", "0.33", ("--mamba-cache-mode", "align")),
        ("enable_prefix_caching", False, "0.33.0", ("--no-enable-prefix-caching",)),
        ("data_parallel_size", 2, "0.6.6", None),
    ],
)
def test_versions_of_vllm(option: str, value: object, version: str, words: tuple[str, ...] | None) -> None:
    """Flags came and went; a version gets those that it was seen to have."""
    assert spell("vllm", option, value, version) == words


def test_values_by_version() -> None:
    """Types that a version does not have are not written: nf4 ended, nvfp4 began."""
    assert word_of("vllm", "weights", "nf4", "0.27.0") == "bitsandbytes"
    assert word_of("vllm", "weights", "nf4", "0.33.0") is None
    assert word_of("vllm", "weights", "NVFP4", "0.33.0") == "nvfp4_per_token"
    assert "fp8-block" not in words_of("vllm", "weights", "0.19.1")
    assert unreadable("vllm", "bitsandbytes", "0.27.0") is None
    assert "checkpoint" in (unreadable("vllm", "bitsandbytes", "0.28.0") or "")


def test_every_fact_has_a_source() -> None:
    """Each row of each data file says where it is from."""
    for name in ("flags", "values", "unreadable", "programs", "images"):
        assert all(row["source"].strip() for row in rows(name))


def test_every_program_is_a_target_planned_by_a_known_engine() -> None:
    """The programs of the data file and the targets with a builder are the same, and their engines exist."""
    assert {row["target"] for row in rows("programs")} == {n for n, t in TARGETS.items() if t.builder}
    for row in rows("programs"):
        for engine in program(row["target"]).engines:
            assert engine_profile(engine).name == engine


SAMPLES = {
    "dtype": "float16", "kv_cache_dtype": "fp8", "quantization": "fp8", "mamba_cache_mode": "align",
    "mamba_cache_dtype": "float32", "mamba_ssm_cache_dtype": "float32", "split_mode": "none",
    "tensor_split": "3,1", "flash_attn": "off", "kv_bits": "8", "kv_group_size": "32", "cache_type_k": "q8_0",
    "cache_type_v": "q8_0", "gpu_memory_utilization": "0.5", "block_size": "32",
    "kv_cache_memory_bytes": "1GiB",
    "mmap": "off", "op_offload": "off", "async_scheduling": "off", "enable_prefix_caching": "off",
    "max_kv_size": "512", "quantized_kv_start": "100", "prefill_step_size": "512", "n_ctx": "8192",
    "n_batch": "1024", "data_parallel_size": "2", "pipeline_parallel_size": "2", "main_gpu": "1",
    "backend": "vulkan",
}  # fmt: skip
TOGETHER = {"main_gpu": ["split_mode=none"], "kv_group_size": ["kv_bits=8"],
"quantized_kv_start": ["kv_bits=8"],
            "decode_context_parallel_size": ["tensor_parallel_size=2"], "kv_unified": ["n_parallel=2"],
            "num_draft_layers": ["num_speculative_tokens=2"]}  # fmt: skip
PAIRS = [
    (target, engine, option)
    for target, engine in (("vllm", "vllm"), ("sglang", "vllm"), ("llama.cpp", "llama.cpp"), ("mlx", "mlx"),
                           ("ollama", "llama.cpp"), ("mistralrs", "vllm"), ("mistralrs", "llama.cpp"))
    for option in engine_profile(engine).options
]  # fmt: skip


@cache
def asked(engine: str, *options: str) -> Plan:
    """Return a plan of an engine with some options, on devices that it runs on."""
    name = "meta-llama/Meta-Llama-3.1-8B"
    spec = gguf_model(name) if engine == "llama.cpp" else hub_model(name)
    return make(
        spec, "M3 Ultra 256GB" if engine == "mlx" else "2x H200", engine=engine, context=8000, options=options
    )


@pytest.mark.parametrize(("target", "engine", "option"), PAIRS)
def test_no_option_is_dropped_in_silence(target: str, engine: str, option: str) -> None:
    """What was asked for changes what runs, is named in a note or in a refusal, or is what happens anyway."""
    switch = engine_profile(engine).options[option].parse.__name__ == "flag"
    value = SAMPLES.get(option, "on" if switch else "2")
    beside = TOGETHER.get(option, [])
    made, bare = asked(engine, f"{option}={value}", *beside), asked(engine, *beside)
    told = recipe(made, target)
    if isinstance(told, str):
        assert any(word in told for word in (option, value, "K and V", "experts"))
        return
    usual = json.loads(export(bare, f"json:{target}"))
    changed = (told["command"], told["environment"], words(told)) != (
        usual["command"], usual["environment"], words(usual)
    )  # fmt: skip
    named = any(f"{option}=" in note or f"{value} tokens" in note for note in told["notes"])
    assert changed or named or made.memory.components == bare.memory.components


def recipe(made: Plan, target: str) -> Any:
    """Return the recipe of a plan, or the sentence that refuses it."""
    try:
        return json.loads(export(made, f"json:{target}"))
    except UsageError as error:
        return str(error)


def words(told: dict[str, list[dict[str, object]]]) -> list[tuple[object, object]]:
    """Return the settings of a recipe with their values."""
    return [(setting["option"], setting["value"]) for setting in told["settings"]]


def test_the_option_lists_are_read_from_the_readers() -> None:
    """Every list that flags are checked against has its csv file with sources."""
    for name in LISTS.values():
        text = files("hwledger.library.commands").joinpath("data", f"{name}.csv").read_text("utf-8")
        assert all(row["source"] for row in csv.DictReader(text.splitlines()))
