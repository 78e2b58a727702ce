"""The vision towers of Qwen2-VL, Qwen2.5-VL, Qwen3-VL and what is built on them.

Source: transformers 5.23.0 ``models/{qwen2_vl,qwen2_5_vl,qwen3_vl}/modeling_*.py``.
"""

from hwledger.library.config.draft import Draft
from hwledger.library.config.families.towers.tower import GATED, Tower
from hwledger.library.config.reader import Config

DEEPSTACK = (8, 16, 24)


def qwen2(draft: Draft, vision: Config) -> None:
    """Add Qwen2-VL's tower; its ``hidden_size`` is that of the text model."""
    tower, width = Tower(draft, "model.visual."), vision.integer("embed_dim", least=1)
    layers = vision.integer("depth", least=1)
    tower.patches("patch_embed.proj", width, *_kernel(vision), bias=False)
    tower.fused_attention("blocks.*.attn", width, layers=layers)
    tower.mlp("blocks.*.mlp", width, int(width * vision.number("mlp_ratio", default=4)), layers=layers)
    tower.norm("blocks.*.norm1", width, layers=layers)
    tower.norm("blocks.*.norm2", width, layers=layers)
    tower.norm("merger.ln_q", width)
    _merge(tower, "merger.mlp", width * _merged(vision), vision.integer("hidden_size", least=1))


def qwen2_5(draft: Draft, vision: Config) -> None:
    """Add Qwen2.5-VL's tower: gated MLPs with biases and RMS norms."""
    tower, width = Tower(draft, "model.visual."), vision.integer("hidden_size", least=1)
    layers = vision.integer("depth", least=1)
    tower.patches("patch_embed.proj", width, *_kernel(vision), bias=False)
    heads = vision.integer("num_heads", default=16, least=1)
    kept = vision.integer("num_key_value_heads", default=heads, least=1)  # EXAONE 4.5 has fewer
    tower.matrix("blocks.*.attn.qkv", width + 2 * (width // heads * kept), width, bias=True, layers=layers)
    tower.matrix("blocks.*.attn.proj", width, width, bias=True, layers=layers)
    inner = vision.integer("intermediate_size", least=1)
    tower.mlp("blocks.*.mlp", width, inner, names=GATED, layers=layers)
    tower.norm("blocks.*.norm1", width, bias=False, layers=layers)
    tower.norm("blocks.*.norm2", width, bias=False, layers=layers)
    tower.norm("merger.ln_q", width, bias=False)
    _merge(tower, "merger.mlp", width * _merged(vision), vision.integer("out_hidden_size", least=1))


def qwen3(draft: Draft, vision: Config, *, deepstack: bool = True, prefix: str = "model.visual.") -> None:
    """Add Qwen3-VL's tower; ``deepstack`` mergers feed early layers of the text model."""
    tower, width = Tower(draft, prefix), vision.integer("hidden_size", least=1)
    layers = vision.integer("depth", least=1)
    tower.patches("patch_embed.proj", width, *_kernel(vision))
    tower.array("pos_embed.weight", vision.integer("num_position_embeddings", least=1), width)
    tower.fused_attention("blocks.*.attn", width, layers=layers)
    inner = vision.integer("intermediate_size", least=1)
    tower.mlp("blocks.*.mlp", width, inner, names=("linear_fc1", "linear_fc2"), layers=layers)
    tower.norm("blocks.*.norm1", width, layers=layers)
    tower.norm("blocks.*.norm2", width, layers=layers)
    merged, out = width * _merged(vision), vision.integer("out_hidden_size", least=1)
    tower.norm("merger.norm", width)
    _linear_pair(tower, "merger", merged, out, 1)
    if deepstack:
        stated = vision.sequence("deepstack_visual_indexes")
        count = len(DEEPSTACK if stated is None else stated)
        tower.norm("deepstack_merger_list.*.norm", merged, layers=count)
        _linear_pair(tower, "deepstack_merger_list.*", merged, out, count)


def _kernel(vision: Config) -> tuple[int, int, int, int]:
    patch = vision.integer("patch_size", least=1)
    channels = vision.integer("in_channels", "in_chans", default=3, least=1)
    return channels, vision.integer("temporal_patch_size", least=1), patch, patch


def _merged(vision: Config) -> int:
    return vision.integer("spatial_merge_size", least=1) ** 2


def _merge(tower: Tower, name: str, merged: int, out: int) -> None:
    tower.matrix(f"{name}.0", merged, merged, bias=True)
    tower.matrix(f"{name}.2", out, merged, bias=True)


def _linear_pair(tower: Tower, name: str, merged: int, out: int, layers: int) -> None:
    tower.matrix(f"{name}.linear_fc1", merged, merged, bias=True, layers=layers)
    tower.matrix(f"{name}.linear_fc2", out, merged, bias=True, layers=layers)
