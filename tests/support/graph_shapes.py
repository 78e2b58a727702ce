"""GraphShape from a row of measured contexts and its GGUF hyper-parameters: for tests alone.

The package builds a GraphShape from a ModelSpec; the measured rows come with hyper-parameters only.
"""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hwledger.library.gguf.spec import gguf_spec
from hwledger.model.number_types import number_type
from hwledger.model.spec import ModelSpec
from hwledger.planner.engines.llama_cpp.compute import (
    Offload,
    Placement,
    graph_of_model,
)
from hwledger.planner.engines.llama_cpp.compute.accuracy import MeasuredContext
from hwledger.planner.engines.llama_cpp.compute.shape import (
    AttentionGraph,
    FeedForwardGraph,
    GraphShape,
    LayerGraph,
    StateGraph,
    StateKind,
)
from hwledger.planner.engines.llama_cpp.context import Wanted, resolve
from hwledger.units import round_up

PERIODS = {"gemma2": 2, "gemma3": 6, "gemma3n": 5, "gpt-oss": 2, "cohere2": 4, "llama4": 4}
FUSED = ("phi3",)
MULTI_SECTION = ("qwen35", "qwen35moe", "qwen3vl", "qwen2vl")
Shape = Mapping[str, Any]


def read_shapes(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the hyper-parameters of each measured model."""
    with (folder / "gguf_shapes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {row["model"]: {"arch": row["arch"], **json.loads(row["hparams_json"])} for row in rows}


def per_layer(value: Any, layer: int) -> int:
    """Return one layer's number of a scalar or a list."""
    return int(value[layer] if isinstance(value, list) else value or 0)


def slides(h: Shape, layer: int) -> bool:
    """Return whether a layer attends to a window."""
    pattern = h.get("attention.sliding_window_pattern")
    if isinstance(pattern, list):
        return bool(pattern[layer])
    period = PERIODS.get(h["arch"])
    return period is not None and layer % period < period - 1


def window_cells(h: Shape, row: Shape, base: int) -> int:
    """Return the cells of the window cache."""
    window = h.get("attention.sliding_window") or (8192 if h["arch"] == "llama4" else 0)
    if row["swa_full"] or not window:
        return base
    sequences = row["n_seq_max"] if row["kv_unified"] else 1
    return round_up(min(base, window * sequences + row["n_ubatch"]), 256)


def attention_of(h: Shape, layer: int, cells: int, *, slide: bool) -> AttentionGraph | None:
    """Return a layer's attention; None where it has none."""
    heads = per_layer(h["attention.head_count"], layer)
    kv_heads = per_layer(h.get("attention.head_count_kv"), layer)
    interval = h.get("full_attention_interval")
    if not heads or not kv_heads or (interval and (layer + 1) % interval):
        return None
    suffix = "_swa" if slide and "attention.key_length_swa" in h else ""
    key = h.get("attention.key_length" + suffix) or h["embedding_length"] // heads
    value = h.get("attention.value_length" + suffix) or key
    latent = "attention.key_length_mla" in h
    rank = h.get("attention.kv_lora_rank", 0)
    indexers = h.get("attention.indexer.head_count", 0)
    return AttentionGraph(
        heads=heads,
        query=heads * (h["attention.key_length_mla"] if latent else key),
        output=heads * (h["attention.value_length_mla"] if latent else value),
        key=kv_heads * key,
        value=0 if latent else kv_heads * value,
        cells=cells,
        fused=h["arch"] in FUSED,
        gated=h["arch"] in ("qwen3next", "qwen35", "qwen35moe"),
        latent_query=heads * key if latent else 0,
        latent_output=heads * rank if latent else 0,
        index_query=indexers * h.get("attention.indexer.key_length", 0),
        index_top=h.get("attention.indexer.top_k", 0),
    )


def state_of(h: Shape, *, has_attention: bool) -> StateGraph | None:  # noqa: PLR0911
    """Return a layer's recurrent mixer; None where it has none."""
    arch, inner = h["arch"], h.get("ssm.inner_size", 0)
    if has_attention and arch != "falcon-h1":
        return None
    size, groups = h.get("ssm.state_size", 0), h.get("ssm.group_count", 0)
    taps, rank = h.get("ssm.conv_kernel", 1) - 1, h.get("ssm.time_step_rank", 0)
    if arch.startswith("rwkv"):
        width = h["embedding_length"]
        return StateGraph(
            kind=StateKind.RWKV, inner=width, state=width * h["wkv.head_size"], window=2 * width
        )
    if "shortconv.l_cache" in h:
        width = h["embedding_length"]
        return StateGraph(
            kind=StateKind.SHORT_CONVOLUTION,
            inner=width,
            projected=3 * width,
            window=width * (h["shortconv.l_cache"] - 1),
        )
    if not inner:
        return None
    channels = inner + 2 * groups * size
    if h.get("full_attention_interval"):
        state = size * size * rank
        return StateGraph(
            kind=StateKind.GATED_DELTA, inner=inner, channels=channels, state=state, window=taps * channels
        )
    if groups:
        return StateGraph(
            kind=StateKind.MAMBA2,
            inner=inner,
            channels=channels,
            projected=inner + channels + rank,
            state=inner * size,
            window=taps * channels,
        )
    small = 2 * rank + 2 * size
    return StateGraph(
        kind=StateKind.MAMBA1, inner=inner, small=small, state=inner * size, window=taps * inner
    )


def blocks_of(h: Shape, layer: int) -> tuple[FeedForwardGraph, ...]:
    """Return a layer's feed-forward blocks."""
    used = h.get("expert_used_count", 0)
    dense = per_layer(h["feed_forward_length"], layer)
    gated = not h["arch"].startswith("rwkv")
    plain = (FeedForwardGraph(width=dense, gated=gated),) if dense else ()
    if not used or layer < h.get("leading_dense_block_count", 0):
        return plain
    if h["arch"] == "jamba" and layer % 2 == 0:
        return plain
    if (layer + 1) % h.get("interleave_moe_layer_step", 1):
        return plain
    expert = h.get("expert_feed_forward_length") or dense
    blocks = [FeedForwardGraph(width=used * expert, experts_used=used)]
    shared = h.get("expert_shared_feed_forward_length") or expert * h.get("expert_shared_count", 0)
    if shared:
        blocks.append(FeedForwardGraph(width=shared))
    if h["arch"] == "gemma4":
        blocks.append(FeedForwardGraph(width=dense))
    return tuple(blocks)


def shape_of(h: Shape, row: Shape) -> GraphShape:
    """Return the graph of one measured context."""
    tokens = min(row["n_ubatch"], row["n_ctx"])
    base = round_up(row["n_ctx"], 256)
    if not row["kv_unified"]:
        base = round_up(row["n_ctx"] // row["n_seq_max"], 256)
    window = window_cells(h, row, base)
    layers, caches = [], set()
    for layer in range(h["block_count"]):
        slide = slides(h, layer)
        attention = attention_of(h, layer, window if slide else base, slide=slide)
        if attention is not None:
            caches.add(("window", window) if slide else ("base", base))
        state = state_of(h, has_attention=attention is not None)
        layers.append(LayerGraph(attention=attention, state=state, feed_forward=blocks_of(h, layer)))
    cells = [count for _, count in sorted(caches)]
    per_layer_width = h.get("embedding_length_per_layer_input", 0)
    return GraphShape(
        n_vocab=h["vocab_size"],
        n_embd=h["embedding_length"],
        layers=tuple(dict.fromkeys(layers)),
        cells=tuple(cells),
        index_cells=base if h.get("attention.indexer.head_count") else 0,
        n_tokens=tokens,
        n_outputs=min(tokens, row["n_outputs_max"] or tokens),
        n_seqs=row["n_seq_max"],
        flash_attention=bool(row["flash_attn"]),
        positions=4 if h["arch"] in MULTI_SECTION else 1,
        per_layer_input=per_layer_width * h["block_count"],
        parallel_streams=h.get("altup.num_inputs", 1),
        rotations=rotations_of(h, row),
    )


def rotations_of(h: Shape, row: Shape) -> int:
    """Return the Hadamard matrices of a quantised cache or an indexer."""
    index = h.get("attention.indexer.key_length", 0)
    if not row["type_k"].startswith("q"):
        return index * index
    keys = {h.get("attention.key_length", 0), h.get("attention.key_length_swa", 0)} - {0}
    return index * index + sum(key * key + 64 * 64 for key in keys)


def read_measured(folder: Path) -> list[MeasuredContext]:
    """Return every measured context, device rows of one context together."""
    shapes = read_shapes(folder)
    with (folder / "llamacpp_measured.csv").open(newline="") as file:
        rows = [numbers(row) for row in csv.DictReader(file)]
    several = [row for row in rows if row["mode"].endswith("GPUs")]
    single = [row for row in rows if not row["mode"].endswith("GPUs")]
    spread: dict[tuple[str, int, str], dict[str, Any]] = {}
    for row in several:
        spread.setdefault((row["model"], row["n_ctx"], row["extra"]), {})[row["device"]] = row
    found = [one_place(shapes[row["model"]], row) for row in single]
    return found + [many_places(shapes[group["host"]["model"]], group) for group in spread.values()]


def numbers(row: Mapping[str, str]) -> dict[str, Any]:
    """Return a row with its numbers read; absent ones are 0."""
    names = (
        "n_ctx", "n_ubatch", "n_seq_max", "kv_unified", "swa_full", "flash_attn", "n_outputs_max",
        "compute_bytes", "host_compute_bytes",
    )  # fmt: skip
    return {**row, **{name: int(row[name] or 0) for name in names}}


def one_place(h: Shape, row: Shape) -> MeasuredContext:
    """Return a context on the CPU or on one device."""
    return placed(row, shape_of(h, row))


def placed(row: Shape, shape: GraphShape) -> MeasuredContext:
    """Return a graph on the CPU or on one device, beside what was measured."""
    devices: tuple[int, ...] = ()
    if row["device"] == "CPU":
        placement, host = Placement(devices=0), row["compute_bytes"]
    else:
        placement, devices, host = Placement(), (row["compute_bytes"],), row["host_compute_bytes"]
    return MeasuredContext(
        model=row["model"],
        shape=shape,
        build=int(row["source_build"].removeprefix("b")),
        placement=placement,
        device_bytes=devices,
        host_bytes=host,
    )


def many_places(h: Shape, group: Mapping[str, Shape]) -> MeasuredContext:
    """Return a context with placement of its own: several devices, some layers or experts on the host."""
    host = group["host"]
    names = sorted(name for name in group if name != "host")
    placement = Placement(
        devices=len(names),
        offload=Offload.SOME if "n_gpu_layers" in host["extra"] else Offload.ALL,
        overrides="n_cpu_moe" in host["extra"],
    )
    return MeasuredContext(
        model=host["model"],
        shape=shape_of(h, host),
        build=int(host["source_build"].removeprefix("b")),
        placement=placement,
        device_bytes=tuple(group[name]["compute_bytes"] for name in names),
        host_bytes=host["compute_bytes"],
    )


def model_graph(spec: ModelSpec, row: Shape) -> GraphShape:
    """Return the graph that the package makes of a model in a measured context."""
    wanted = Wanted(
        n_ctx=row["n_ctx"],
        n_ubatch=row["n_ubatch"],
        n_seq_max=row["n_seq_max"],
        kv_unified=bool(row["kv_unified"]),
        flash_attn=bool(row["flash_attn"]),
        swa_full=bool(row["swa_full"]),
        n_outputs_max=row["n_outputs_max"],
        type_k=number_type(row["type_k"]),
        type_v=number_type(row["type_v"]),
    )
    return graph_of_model(spec, resolve(wanted, int(row["source_build"].removeprefix("b"))))


def read_model_graphs(folder: Path) -> list[MeasuredContext]:
    """Return the contexts on one place, with graphs by way of a GGUF header's metadata and a ModelSpec."""
    specs = {name: spec_of(name, h) for name, h in read_shapes(folder).items()}
    with (folder / "llamacpp_measured.csv").open(newline="") as file:
        rows = [numbers(row) for row in csv.DictReader(file)]
    rows = [row for row in rows if not row["mode"].endswith("GPUs")]
    return [placed(row, model_graph(specs[row["model"]], row)) for row in rows]


def spec_of(name: str, h: Shape) -> ModelSpec:
    """Return the ModelSpec of a header that holds these hyper-parameters and no tensors."""
    metadata = {f"{h['arch']}.{key}": value for key, value in h.items() if key != "arch"}
    header = SimpleNamespace(metadata={"general.architecture": h["arch"], **metadata}, tensors=())
    return gguf_spec(header, name)
