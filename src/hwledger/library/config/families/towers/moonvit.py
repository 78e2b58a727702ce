"""Kimi's MoonViT and its projector. Source: transformers 5.23.0 ``models/kimi_k25/modeling_kimi_k25.py``."""

from hwledger.library.config.draft import Draft
from hwledger.library.config.families.towers.tower import Tower
from hwledger.library.config.reader import Config


def moonvit(draft: Draft, vision: Config) -> None:
    """Add the tower, whose own files call its sizes ``vt_…``, and the projector that folds patches."""
    tower = Tower(draft, "model.vision_tower.")
    width = vision.integer("vt_hidden_size", "hidden_size", least=1)
    patch, layers = vision.integer("patch_size", default=14, least=1), vision.layer_count(*_LAYERS)
    tower.patches("patch_embed.proj", width, 3, patch, patch)
    tower.array(
        "patch_embed.pos_emb.position_embeddings",
        vision.integer("init_pos_emb_height", "pos_emb_height", default=64, least=1),
        vision.integer("init_pos_emb_width", "pos_emb_width", default=64, least=1),
        width,
    )
    tower.attention("layers.*.attn", width, layers=layers, out="proj")
    inner = vision.integer("vt_intermediate_size", "intermediate_size", least=1)
    tower.mlp("layers.*.mlp", width, inner, layers=layers)
    tower.norm("layers.*.norm1", width, layers=layers)
    tower.norm("layers.*.norm2", width, layers=layers)
    tower.norm("final_layernorm", width)
    projector, folded = Tower(draft, "model.mm_projector."), width * _merged(vision)
    projector.norm("pre_norm", width)
    projector.matrix("in_proj", folded, folded, bias=True)
    projector.matrix("out_proj", draft.hidden, folded, bias=True)


_LAYERS = ("vt_num_hidden_layers", "num_hidden_layers")


def _merged(vision: Config) -> int:
    sides = vision.sequence("merge_kernel_size", length=2) or [2, 2]
    if not all(type(side) is int and 0 < side < 1 << 10 for side in sides):
        raise vision.unusable("merge_kernel_size", sides, "two whole numbers from 1")
    return int(sides[0] * sides[1])
