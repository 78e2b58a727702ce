"""Pixtral: gated MLPs, RMS norms, no biases. Source: transformers 5.23.0 ``models/pixtral``."""

from hwledger.library.config.draft import Draft
from hwledger.library.config.families.towers.tower import GATED, Tower
from hwledger.library.config.reader import Config


def pixtral(draft: Draft, vision: Config) -> int:
    """Add Pixtral's tower and return its width."""
    tower, width = Tower(draft, "model.vision_tower."), vision.integer("hidden_size", least=1)
    patch, layers = vision.integer("patch_size", least=1), vision.layer_count()
    channels = vision.integer("num_channels", default=3, least=1)
    tower.patches("patch_conv", width, channels, patch, patch, bias=False)
    tower.norm("ln_pre", width, bias=False)
    block = "transformer.layers.*."
    tower.attention(f"{block}attention", width, bias=False, layers=layers, out="o_proj")
    inner = vision.integer("intermediate_size", least=1)
    tower.mlp(f"{block}feed_forward", width, inner, names=GATED, bias=False, layers=layers)
    tower.norm(f"{block}attention_norm", width, bias=False, layers=layers)
    tower.norm(f"{block}ffn_norm", width, bias=False, layers=layers)
    return width
