"""InternVL's vision tower. Source: transformers 5.23.0 ``models/internvl/modeling_internvl.py``."""

from hwledger.library.config.draft import Draft
from hwledger.library.config.families.towers.tower import Tower
from hwledger.library.config.reader import Config


def internvl(draft: Draft, vision: Config) -> int:
    """Add the tower and return its width."""
    tower, width = Tower(draft, "model.vision_tower."), vision.integer("hidden_size", least=1)
    tall, wide = _pair(vision, "patch_size", 14)
    high, long = _pair(vision, "image_size", 448)
    layers = vision.layer_count()
    tower.array("embeddings.cls_token", 1, 1, width)
    if vision.flag("use_mask_token"):
        tower.array("embeddings.mask_token", 1, 1, width)
    if vision.flag("use_absolute_position_embeddings", default=True):
        tower.array("embeddings.position_embeddings", 1, (high // tall) * (long // wide) + 1, width)
    channels = vision.integer("num_channels", default=3)
    tower.patches("embeddings.patch_embeddings.projection", width, channels, tall, wide)
    block, rms = "encoder.layer.*.", vision.text("norm_type", default="layer_norm") == "rms_norm"
    for name in ("q_proj", "k_proj", "v_proj"):
        tower.matrix(
            f"{block}attention.{name}",
            width,
            width,
            bias=vision.flag("attention_bias", "qkv_bias"),
            layers=layers,
        )
    tower.matrix(f"{block}attention.projection_layer", width, width, bias=True, layers=layers)
    if vision.flag("use_qk_norm", "qk_normalization"):
        tower.array(f"{block}attention.q_norm.weight", width, layers=layers)
        tower.array(f"{block}attention.k_norm.weight", width, layers=layers)
    tower.mlp(f"{block}mlp", width, vision.integer("intermediate_size", least=1), layers=layers)
    tower.array(f"{block}lambda_1", width, layers=layers)
    tower.array(f"{block}lambda_2", width, layers=layers)
    tower.norm(f"{block}layernorm_before", width, bias=not rms, layers=layers)
    tower.norm(f"{block}layernorm_after", width, bias=not rms, layers=layers)
    if not vision.flag("use_mean_pooling", default=True):
        tower.norm("layernorm", width)
    return width


def _pair(vision: Config, key: str, default: int) -> tuple[int, int]:
    value = vision.value(key, default=default)
    sides = value if isinstance(value, list) else [value, value]
    if len(sides) != 2 or not all(type(side) is int and 0 < side < 1 << 20 for side in sides):  # noqa: PLR2004
        raise vision.unusable(key, value, "a whole number or two")
    return sides[0], sides[1]
