"""Gemma 4's vision and audio towers. Source: transformers 5.23.0 ``models/gemma4/modeling_gemma4.py``."""

from hwledger.library.config.draft import Draft
from hwledger.library.config.families.towers.tower import GATED, Tower
from hwledger.library.config.reader import Config


def gemma4_vision(draft: Draft, vision: Config) -> int:
    """Add the tower and return its width."""
    tower, width = Tower(draft, "model.vision_tower."), vision.integer("hidden_size", least=1)
    patch, layers = vision.integer("patch_size", least=1), vision.layer_count()
    head = vision.integer("head_dim", least=1)
    queries = head * vision.integer("num_attention_heads", least=1)
    keys = head * vision.integer("num_key_value_heads", least=1)
    positions = vision.integer("position_embedding_size", least=1)
    bias = vision.flag("attention_bias")
    tower.array("patch_embedder.position_embedding_table", 2, positions, width)
    tower.matrix("patch_embedder.input_proj", width, 3 * patch**2)
    block = "encoder.layers.*."
    for name, out in (("q_proj", queries), ("k_proj", keys), ("v_proj", keys)):
        tower.matrix(f"{block}self_attn.{name}", out, width, bias=bias, layers=layers)
    tower.matrix(f"{block}self_attn.o_proj", width, queries, bias=bias, layers=layers)
    tower.array(f"{block}self_attn.q_norm.weight", head, layers=layers)
    tower.array(f"{block}self_attn.k_norm.weight", head, layers=layers)
    inner = vision.integer("intermediate_size", least=1)
    tower.mlp(f"{block}mlp", width, inner, names=GATED, bias=False, layers=layers)
    for norm in ("input", "post_attention", "pre_feedforward", "post_feedforward"):
        tower.norm(f"{block}{norm}_layernorm", width, bias=False, layers=layers)
    return width


def gemma4_audio(draft: Draft, audio: Config) -> int:
    """Add the conformer and return the width of its output."""
    tower, width = Tower(draft, "model.audio_tower."), audio.integer("hidden_size", least=1)
    layers, block = audio.layer_count(), "layers.*."
    out = audio.integer("output_proj_dims", default=1536, least=1)
    first, second = (audio.sequence("subsampling_conv_channels", length=2) or [128, 32])[:2]
    _subsampling(tower, width, first, second)
    for half in ("feed_forward1", "feed_forward2"):
        tower.mlp(
            f"{block}{half}",
            width,
            4 * width,
            names=("ffw_layer_1", "ffw_layer_2"),
            bias=False,
            layers=layers,
        )
    tower.attention(f"{block}self_attn", width, bias=False, layers=layers, out="post")
    tower.matrix(f"{block}self_attn.relative_k_proj", width, width, layers=layers)
    tower.array(
        f"{block}self_attn.per_dim_scale", width // audio.integer("num_attention_heads"), layers=layers
    )
    tower.matrix(f"{block}lconv1d.linear_start", 2 * width, width, layers=layers)
    tower.matrix(f"{block}lconv1d.linear_end", width, width, layers=layers)
    kernel = audio.integer("conv_kernel_size", default=5)
    tower.array(f"{block}lconv1d.depthwise_conv1d.weight", width, 1, kernel, layers=layers)
    for norm in _AUDIO_NORMS:
        tower.norm(f"{block}{norm}", width, bias=False, layers=layers)
    tower.matrix("output_proj", out, width, bias=True)
    return out


_AUDIO_NORMS = (
    "feed_forward1.pre_layer_norm", "feed_forward1.post_layer_norm", "feed_forward2.pre_layer_norm",
    "feed_forward2.post_layer_norm", "lconv1d.pre_layer_norm", "lconv1d.conv_norm", "norm_pre_attn",
    "norm_post_attn", "norm_out",
)  # fmt: skip


def _subsampling(tower: Tower, width: int, first: int, second: int) -> None:
    """Add two convolutions that halve time and frequency, and the projection of what is left."""
    tower.array("subsample_conv_projection.layer0.conv.weight", first, 1, 3, 3)
    tower.norm("subsample_conv_projection.layer0.norm", first, bias=False)
    tower.array("subsample_conv_projection.layer1.conv.weight", second, first, 3, 3)
    tower.norm("subsample_conv_projection.layer1.norm", second, bias=False)
    tower.matrix("subsample_conv_projection.input_proj_linear", width, first // 4 * second)
