"""Falcon: its norms and KV heads depend on three flags; its first files had a type of their own."""

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


def refined_web(config: Config) -> Draft:
    """Read Falcon's first files: ``RefinedWebModel`` (7B, 1B) and ``RefinedWeb`` (40B, the newer layer).

    Source: tiiuae/falcon-7b and falcon-40b ``configuration_RW.py`` and ``modelling_RW.py`` (remote code):
    the output matrix is tied, and the key of an ALiBi model is ``alibi``.
    """
    grouped = config.optional_integer("n_head_kv", least=1) is not None
    parallel = config.flag("parallel_attn", default=True)
    meant = {"new_decoder_architecture": grouped, "parallel_attn": parallel, "tie_word_embeddings": True}
    return read(Config({**meant, **config.raw, "model_type": "falcon"}, config.where, facts=config.facts))


def _norms(config: Config) -> str:
    if not config.flag("parallel_attn", default=True):
        return "input_layernorm+post_attention_layernorm"
    new = config.flag("new_decoder_architecture")
    count = config.integer("num_ln_in_parallel_attn", default=_TWO if new else 1)
    return "ln_attn+ln_mlp" if count == _TWO else "input_layernorm"
