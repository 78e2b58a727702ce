"""Falcon: its norms and KV heads depend on three flags."""

from dataclasses import replace

from hwledger.library.config.draft import Draft
from hwledger.library.config.families.decoder import add_decoder
from hwledger.library.config.reader import Config
from hwledger.library.config.traits import names_of, traits_of

_TWO = 2


def read(config: Config) -> Draft:
    """Read a Falcon: one norm per layer in parallel, two where they are apart or the design is new.

    Source: transformers 5.23.0 ``models/falcon/modeling_falcon.py`` ``FalconDecoderLayer``.
    """
    draft = Draft(config)
    traits = traits_of("falcon")
    add_decoder(draft, replace(traits, norms=_norms(config)), names_of(traits.names))
    return draft


def _norms(config: Config) -> str:
    if not config.flag("parallel_attn", default=True):
        return "input_layernorm+post_attention_layernorm"
    new = config.flag("new_decoder_architecture")
    count = config.integer("num_ln_in_parallel_attn", default=_TWO if new else 1)
    return "ln_attn+ln_mlp" if count == _TWO else "input_layernorm"
