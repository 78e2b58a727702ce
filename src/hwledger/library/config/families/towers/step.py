"""Step-3.7's vision tower. Source: transformers 5.23.0 ``models/step3p7/modeling_step3p7.py``."""

from hwledger.library.config.draft import Draft
from hwledger.library.config.families.towers.tower import Tower
from hwledger.library.config.reader import Config


def step3p7(draft: Draft, vision: Config) -> None:
    """Add the tower, two convolutions that each double its width, and one matrix to the text model."""
    tower, width = Tower(draft, "model.vision_model."), vision.integer("width", "hidden_size", default=1536)
    patch = vision.integer("patch_size", default=14, least=1)
    image = vision.integer("image_size", default=728, least=1)
    layers = vision.layer_count("layers", "num_hidden_layers")
    tower.patches(
        "embeddings.patch_embedding",
        width,
        vision.integer("num_channels", default=3),
        patch,
        patch,
        bias=False,
    )
    tower.array("embeddings.position_embedding.weight", (image // patch) ** 2, width)
    tower.norm("pre_layernorm", width)
    tower.attention("layers.*.self_attn", width, layers=layers)
    tower.mlp(
        "layers.*.mlp", width, int(width * vision.number("mlp_ratio", default=8960 / 1536)), layers=layers
    )
    tower.array("layers.*.lambda_1", width, layers=layers)
    tower.array("layers.*.lambda_2", width, layers=layers)
    tower.norm("layers.*.layernorm_before", width, layers=layers)
    tower.norm("layers.*.layernorm_after", width, layers=layers)
    tower.patches("downsampler1", 2 * width, width, 3, 3)
    tower.patches("downsampler2", 4 * width, 2 * width, 3, 3)
    Tower(draft, "model.").matrix("multi_modal_projector", draft.hidden, 4 * width)
