"""ChatGLM2, ChatGLM3 and GLM-4 before their port to transformers (remote code)."""

from dataclasses import replace

from hwledger.library.config.draft import Draft
from hwledger.library.config.families.decoder import add_decoder
from hwledger.library.config.reader import Config
from hwledger.library.config.traits import names_of, traits_of


def read(config: Config) -> Draft:
    """Read a ChatGLM: fused projections, shared KV heads, and a final norm that a flag removes.

    Source: THUDM/chatglm3-6b ``modeling_chatglm.py`` ``SelfAttention`` and ``MLP``.
    """
    draft = Draft(config)
    traits = traits_of("chatglm")
    final = "yes" if config.flag("post_layer_norm", default=True) else "no"
    norm = "weight" if config.flag("rmsnorm", default=True) else "bias"
    add_decoder(draft, replace(traits, final_norm=final, norm=norm), names_of(traits.names))
    return draft
