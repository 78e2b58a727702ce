"""The vision towers of Llama 4 and Llama 3.2. Source: transformers 5.23.0 ``models/{llama4,mllama}``."""

from hwledger.library.config.draft import Draft
from hwledger.library.config.families.towers.tower import Tower
from hwledger.library.config.reader import Config


def llama4(draft: Draft, vision: Config, hidden: int) -> None:
    """Add Llama 4's tower, its pixel-shuffle adapter and the projector to ``hidden``."""
    tower, width = Tower(draft, "vision_model."), vision.integer("hidden_size", least=1)
    patch, image = vision.integer("patch_size", least=1), vision.integer("image_size", least=1)
    layers, inner = vision.layer_count(), vision.integer("intermediate_size", least=1)
    tower.array("class_embedding", width)
    tower.array("positional_embedding_vlm", (image // patch) ** 2 + 1, width)
    tower.matrix("patch_embedding.linear", width, vision.integer("num_channels", default=3) * patch**2)
    tower.norm("layernorm_pre", width)
    tower.norm("layernorm_post", width)
    tower.attention("model.layers.*.self_attn", width, layers=layers, out="o_proj")
    tower.mlp("model.layers.*.mlp", width, inner, layers=layers)
    tower.norm("model.layers.*.input_layernorm", width, layers=layers)
    tower.norm("model.layers.*.post_attention_layernorm", width, layers=layers)
    wide = vision.integer("projector_output_dim", default=4096, least=1)
    tower.matrix(
        "vision_adapter.mlp.fc1", vision.integer("projector_input_dim", default=4096, least=1), inner
    )
    tower.matrix("vision_adapter.mlp.fc2", wide, wide)
    out = vision.integer("vision_output_dim", default=7680, least=1)
    Tower(draft, "").matrix("multi_modal_projector.linear_1", hidden, out)


def mllama(draft: Draft, vision: Config, hidden: int) -> None:
    """Add the two-stage tower of Llama 3.2 Vision and the projector to ``hidden``."""
    tower, width = Tower(draft, "model.vision_model."), vision.integer("hidden_size", least=1)
    patch, image = vision.integer("patch_size", least=1), vision.integer("image_size", least=1)
    tiles = vision.integer("max_num_tiles", least=1)
    ratios = len(vision.sequence("supported_aspect_ratios") or _aspect_ratios(tiles)) + 1
    positions = (image // patch) ** 2 + 1
    tower.array("class_embedding", width)
    tower.patches(
        "patch_embedding", width, vision.integer("num_channels", default=3), patch, patch, bias=False
    )
    tower.array("gated_positional_embedding.gate", 1)
    tower.array("gated_positional_embedding.embedding", positions, width)
    tower.array("gated_positional_embedding.tile_embedding.weight", ratios, tiles * positions * width)
    for name in ("pre_tile_positional_embedding", "post_tile_positional_embedding"):
        tower.array(f"{name}.gate", 1)
        tower.array(f"{name}.embedding.weight", ratios, tiles * width)
    tower.norm("layernorm_pre", width)
    tower.norm("layernorm_post", width)
    _mllama_stage(tower, vision, "transformer", vision.layer_count())
    final = vision.integer("num_global_layers", least=1)
    _mllama_stage(tower, vision, "global_transformer", final)
    for gate in ("gate_attn", "gate_ffn"):
        tower.array(f"global_transformer.layers.*.{gate}", 1, layers=final)
    out = vision.integer("vision_output_dim", default=7680, least=1)
    Tower(draft, "model.").matrix("multi_modal_projector", hidden, out, bias=True)


def _aspect_ratios(tiles: int) -> list[tuple[int, int]]:
    return [(a, b) for a in range(1, tiles + 1) for b in range(1, tiles + 1) if a * b <= tiles]


def _mllama_stage(tower: Tower, vision: Config, name: str, layers: int) -> None:
    width, block = vision.integer("hidden_size", least=1), f"{name}.layers.*."
    tower.attention(f"{block}self_attn", width, bias=False, layers=layers, out="o_proj")
    tower.mlp(f"{block}mlp", width, vision.integer("intermediate_size", least=1), layers=layers)
    tower.norm(f"{block}input_layernorm", width, layers=layers)
    tower.norm(f"{block}post_attention_layernorm", width, layers=layers)
