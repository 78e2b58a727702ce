"""GLM-4.1V and GLM-4.5V. Source: transformers 5.23.0 ``models/glm4v/modeling_glm4v.py``."""

from hwledger.library.config.draft import Draft
from hwledger.library.config.families.towers.tower import GATED, Tower
from hwledger.library.config.reader import Config


def glm4v(draft: Draft, vision: Config) -> None:
    """Add the tower, the down-sampling convolution and the gated merger.

    A block's MLP is as wide as the tower's output; ``intermediate_size`` is that of the merger.
    """
    tower, width = Tower(draft, "model.visual."), vision.integer("hidden_size", least=1)
    patch, out = vision.integer("patch_size", least=1), vision.integer("out_hidden_size", least=1)
    layers, merge = vision.integer("depth", least=1), vision.integer("spatial_merge_size", least=1)
    channels = vision.integer("in_channels", default=3, least=1)
    tower.array("embeddings.position_embedding.weight", (vision.integer("image_size") // patch) ** 2, width)
    tower.patches("patch_embed.proj", width, channels, vision.integer("temporal_patch_size"), patch, patch)
    tower.fused_attention("blocks.*.attn", width, bias=vision.flag("attention_bias"), layers=layers)
    tower.mlp("blocks.*.mlp", width, out, names=GATED, bias=False, layers=layers)
    tower.norm("blocks.*.norm1", width, bias=False, layers=layers)
    tower.norm("blocks.*.norm2", width, bias=False, layers=layers)
    tower.norm("post_conv_layernorm", width, bias=False)
    tower.norm("post_layernorm", width, bias=False)
    tower.patches("downsample", out, width, merge, merge)
    tower.matrix("merger.proj", out, out)
    tower.norm("merger.post_projection_norm", out)
    tower.mlp("merger", out, vision.integer("intermediate_size", least=1), names=GATED, bias=False)


def glm_ocr(draft: Draft, vision: Config) -> None:
    """Add GLM-OCR's tower: norms of queries and keys, biases in the MLP, a merger three times as wide.

    Source: transformers 5.24.0 ``models/glm_ocr/modeling_glm_ocr.py``.
    """
    tower, width = Tower(draft, "model.visual."), vision.integer("hidden_size", least=1)
    patch, out = vision.integer("patch_size", least=1), vision.integer("out_hidden_size", least=1)
    layers, merge = vision.integer("depth", least=1), vision.integer("spatial_merge_size", least=1)
    channels, bias = vision.integer("in_channels", default=3, least=1), vision.flag("attention_bias")
    tower.patches("patch_embed.proj", width, channels, vision.integer("temporal_patch_size"), patch, patch)
    tower.fused_attention("blocks.*.attn", width, bias=bias, layers=layers)
    head = width // vision.integer("num_heads", "num_attention_heads", least=1)
    inner = vision.integer("intermediate_size", least=1)
    tower.mlp("blocks.*.mlp", width, inner, names=GATED, bias=bias, layers=layers)
    for name, size in (("norm1", width), ("norm2", width), ("attn.q_norm", head), ("attn.k_norm", head)):
        tower.norm(f"blocks.*.{name}", size, bias=False, layers=layers)
    tower.norm("post_layernorm", width, bias=False)
    tower.patches("downsample", out, width, merge, merge)
    tower.matrix("merger.proj", out, out)
    tower.norm("merger.post_projection_norm", out)
    wide = out * vision.integer("in_channels", default=3, least=1)
    tower.mlp("merger", out, wide, names=GATED, bias=False)
