"""ERNIE 4.5 VL's tower and resampler.

Source: transformers 5.24.0 ``models/ernie4_5_vl_moe/modeling_ernie4_5_vl_moe.py``.
"""

from hwledger.library.config.draft import Draft
from hwledger.library.config.families.towers.tower import Tower
from hwledger.library.config.reader import Config


def ernie(draft: Draft, vision: Config) -> None:
    """Add the tower and the resampler that folds patches in space, then pictures in time."""
    tower = Tower(draft, "model.vision_tower.")
    width = vision.integer("hidden_size", "embed_dim", least=1)
    layers = vision.integer("depth", least=1)
    patch, channels = (
        vision.integer("patch_size", default=14, least=1),
        vision.integer("in_channels", default=3),
    )
    tower.matrix("patch_embed.proj", width, channels * patch**2)
    tower.fused_attention("blocks.*.attn", width, layers=layers)
    stated = vision.optional_integer("intermediate_size", least=1)
    inner = stated or int(width * vision.number("mlp_ratio", default=4))
    tower.mlp("blocks.*.mlp", width, inner, layers=layers)
    tower.norm("blocks.*.norm1", width, layers=layers)
    tower.norm("blocks.*.norm2", width, layers=layers)
    tower.norm("ln", width)
    folded = width * vision.integer("spatial_merge_size", default=2, least=1) ** 2
    times = vision.integer("temporal_merge_size", default=2, least=1)
    resampler = Tower(draft, "model.resampler_model.")
    for name, inputs in (("spatial_linear", folded), ("temporal_linear", folded * times)):
        resampler.matrix(f"{name}.fc1", folded, inputs, bias=True)
        resampler.matrix(f"{name}.fc2", folded, folded, bias=True)
        resampler.norm(f"{name}.ln", folded)
    resampler.matrix("mlp", draft.hidden, folded, bias=True)
    resampler.norm("after_norm", draft.hidden, bias=False)
