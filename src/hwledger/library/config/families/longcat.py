"""LongCat-Flash: two latent attentions and two dense MLPs in each layer, with experts beside them.

Shapes: transformers 5.24.0 ``models/longcat_flash/modeling_longcat_flash.py``; each attention has a cache of
its own (``layer_idx * 2 + i``), and so a layer of the file is two layers of a plan. Some experts are no more
than the identity: they have a row in the router and no weights, and of a token's experts as many are real on
average as their share says (LongCat-Flash report, arXiv 2509.01322).
"""

from dataclasses import replace

from hwledger.library.config.blocks import dense_mlp, routed_experts
from hwledger.library.config.draft import Draft
from hwledger.library.config.experts import read_experts
from hwledger.library.config.families.latent import FULL, latent_attention, read_latent
from hwledger.library.config.reader import Config
from hwledger.model.channel import DenseMLP, MixtureOfExperts
from hwledger.model.tensors import Part, Split


def read(config: Config) -> Draft:
    """Read a LongCat-Flash.

    Raises:
        MalformedError: a needed key is missing, absurd or contradicts another.
    """
    draft = Draft(config)
    draft.embed()
    attention = read_latent(config, own_indexer=False)
    dense = DenseMLP(width=config.integer("ffn_hidden_size", "intermediate_size", least=1))
    idle = config.integer("zero_expert_num", default=0)
    experts = _experts(config, idle)
    for index in range(config.layer_count("num_layers", "num_hidden_layers")):
        for half in range(2):
            with draft.scope(f"model.layers.{index}.", 2 * index + half):
                latent_attention(draft, attention, f"self_attn.{half}")
                dense_mlp(draft, dense, name=f"mlps.{half}", bias=config.flag("mlp_bias"))
                draft.norm(f"input_layernorm.{half}", draft.hidden)
                draft.norm(f"post_attention_layernorm.{half}", draft.hidden)
                if not half:
                    routed_experts(draft, experts, router="router.classifier")
                    draft.linear("mlp.router.idle", idle, draft.hidden, Part.ROUTER, split=Split.REPLICATED)
            draft.layer(FULL, attention, channel=dense if half else experts)
    draft.norm("model.norm", draft.hidden)
    draft.rope_tables.add((config.integer("max_position_embeddings", default=4096), attention.rope_width))
    return draft


def _experts(config: Config, idle: int) -> MixtureOfExperts:
    experts = read_experts(config, width_key="expert_ffn_hidden_size", shared_key="none")
    if experts is None:
        raise config.unusable("n_routed_experts", None, "a number of experts")
    real = round(experts.active_experts * experts.experts / (experts.experts + idle))
    return replace(experts, active_experts=max(1, real))
