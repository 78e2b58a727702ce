"""MiniMax-M3's vision tower. Source: transformers 5.23.0 ``models/minimax_m3_vl``."""

from hwledger.library.config.draft import Draft
from hwledger.library.config.families.towers.tower import Tower
from hwledger.library.config.reader import Config


def minimax_m3(draft: Draft, vision: Config, projected: int) -> None:
    """Add the tower, a projector to ``projected`` and the one that merges neighbouring patches."""
    tower, width = Tower(draft, "model.vision_tower."), vision.integer("hidden_size", least=1)
    patch, layers = vision.integer("patch_size", least=1), vision.layer_count()
    folding = vision.nested("img_token_compression_config")
    frames = folding.integer("temporal_patch_size", default=2, least=1) if folding else 2
    merge = folding.integer("spatial_merge_size", default=2, least=1) if folding else 2
    channels = vision.integer("num_channels", default=3, least=1)
    tower.patches("embeddings.proj", width, channels, frames, patch, patch, bias=False)
    tower.norm("pre_layrnorm", width)
    tower.attention("layers.*.self_attn", width, layers=layers)
    tower.mlp("layers.*.mlp", width, vision.integer("intermediate_size", least=1), layers=layers)
    tower.norm("layers.*.layer_norm1", width, layers=layers)
    tower.norm("layers.*.layer_norm2", width, layers=layers)
    projector = Tower(draft, "model.multi_modal_projector.")
    projector.matrix("linear_1", projected, width, bias=True)
    projector.matrix("linear_2", draft.hidden, projected, bias=True)
    projector.matrix("merge_linear_1", projected, draft.hidden * merge**2, bias=True)
    projector.matrix("merge_linear_2", draft.hidden, projected, bias=True)
