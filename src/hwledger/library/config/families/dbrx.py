"""DBRX: attention and experts are described in nested configs."""

from hwledger.library.config.draft import Draft
from hwledger.library.config.families.decoder import add_decoder
from hwledger.library.config.reader import Config
from hwledger.library.config.traits import names_of, traits_of

_KEYS = {
    "attn_config": {"kv_n_heads": "num_key_value_heads"},
    "ffn_config": {
        "ffn_hidden_size": "intermediate_size",
        "moe_num_experts": "moe_num_experts",
        "moe_top_k": "moe_top_k",
    },
}
_DEFAULTS = {
    "num_key_value_heads": 1,
    "intermediate_size": 3584,
    "moe_num_experts": 4,
    "moe_top_k": 1,
}


def read(config: Config) -> Draft:
    """Read a DBRX: grouped attention between bias-free norms and experts in every layer.

    Source: transformers 5.23.0 ``models/dbrx/configuration_dbrx.py`` and ``modeling_dbrx.py``.
    """
    flat = {**_DEFAULTS, **config.raw}
    for section, keys in _KEYS.items():
        nested = config.nested(section)
        for inner, outer in keys.items() if nested else ():
            if nested and nested.has(inner):
                flat[outer] = nested.raw[inner]
    draft = Draft(Config(flat, config.where, path=config.path, facts=config.facts))
    traits = traits_of("dbrx")
    add_decoder(draft, traits, names_of(traits.names))
    return draft
