"""SigLIP, SigLIP 2, CLIP and Idefics-3: plain vision transformers with biases and LayerNorms.

Source: transformers 5.23.0 ``models/{siglip,siglip2,clip,idefics3}/modeling_*.py``.
"""

from hwledger.library.config.draft import Draft
from hwledger.library.config.families.towers.tower import Tower
from hwledger.library.config.reader import Config


def siglip(draft: Draft, vision: Config, *, pooled: bool = True) -> int:
    """Add SigLIP and return its width; ``pooled`` allows the pooling head where the config has one."""
    tower, width = Tower(draft, "model.vision_tower."), _width(vision)
    patch, image = vision.integer("patch_size", least=1), vision.integer("image_size", least=1)
    tower.patches("embeddings.patch_embedding", width, _channels(vision), patch, patch)
    tower.array("embeddings.position_embedding.weight", (image // patch) ** 2, width)
    _layers(tower, vision, width)
    tower.norm("post_layernorm", width)
    if pooled and vision.model_type.startswith("siglip") and vision.flag("vision_use_head", default=True):
        _head(tower, vision, width)
    return width


def siglip2(draft: Draft, vision: Config) -> int:
    """Add SigLIP 2 (flattened patches, any resolution) and return its width."""
    tower, width = Tower(draft, "model.vision_tower."), _width(vision)
    patch = vision.integer("patch_size", least=1)
    tower.matrix("embeddings.patch_embedding", width, _channels(vision) * patch**2, bias=True)
    tower.array("embeddings.position_embedding.weight", vision.integer("num_patches", least=1), width)
    _layers(tower, vision, width)
    tower.norm("post_layernorm", width)
    if vision.flag("vision_use_head", default=True):
        _head(tower, vision, width)
    return width


def clip(draft: Draft, vision: Config) -> int:
    """Add CLIP's vision half and return its width."""
    tower, width = Tower(draft, "model.vision_tower."), _width(vision)
    patch, image = vision.integer("patch_size", least=1), vision.integer("image_size", least=1)
    tower.array("embeddings.class_embedding", width)
    tower.patches("embeddings.patch_embedding", width, _channels(vision), patch, patch, bias=False)
    tower.array("embeddings.position_embedding.weight", (image // patch) ** 2 + 1, width)
    tower.norm("pre_layrnorm", width)
    _layers(tower, vision, width)
    tower.norm("post_layernorm", width)
    return width


def _layers(tower: Tower, vision: Config, width: int) -> None:
    layers = vision.layer_count()
    tower.attention("encoder.layers.*.self_attn", width, layers=layers)
    tower.mlp("encoder.layers.*.mlp", width, vision.integer("intermediate_size", least=1), layers=layers)
    tower.norm("encoder.layers.*.layer_norm1", width, layers=layers)
    tower.norm("encoder.layers.*.layer_norm2", width, layers=layers)


def _head(tower: Tower, vision: Config, width: int) -> None:
    tower.array("head.probe", 1, 1, width)
    tower.matrix("head.attention.in_proj", 3 * width, width, bias=True)
    tower.matrix("head.attention.out_proj", width, width, bias=True)
    tower.norm("head.layernorm", width)
    tower.mlp("head.mlp", width, vision.integer("intermediate_size", least=1))


def _width(vision: Config) -> int:
    return vision.integer("hidden_size", least=1)


def _channels(vision: Config) -> int:
    return vision.integer("num_channels", default=3, least=1)
