"""What a layer mixes tokens with: one small module per kind, with the numbers that its cache needs.

Two families: mixers that keep something *per token* (keys and values, or a latent), and mixers that
keep a *state* of constant size per request. An engine decides how each is rounded, padded and shared
out; the geometry here is the model's own.
"""

from hwledger.model.mixers.chunked import ChunkedAttention
from hwledger.model.mixers.compressed import CompressedAttention
from hwledger.model.mixers.cross import CrossAttention
from hwledger.model.mixers.full import FullAttention
from hwledger.model.mixers.gated_delta_net import GatedDeltaNet
from hwledger.model.mixers.gated_linear import GatedLinearRecurrence
from hwledger.model.mixers.kimi_delta import KimiDeltaAttention
from hwledger.model.mixers.latent import Indexer, LatentAttention
from hwledger.model.mixers.lightning import LightningAttention
from hwledger.model.mixers.mamba1 import Mamba1
from hwledger.model.mixers.mamba2 import Mamba2
from hwledger.model.mixers.recurrent import RecurrentMixer
from hwledger.model.mixers.rwkv import Rwkv
from hwledger.model.mixers.short_convolution import ShortConvolution
from hwledger.model.mixers.sliding import SlidingAttention

KeyValueMixer = FullAttention | SlidingAttention | ChunkedAttention
Mixer = KeyValueMixer | LatentAttention | CompressedAttention | CrossAttention | RecurrentMixer

__all__ = [
    "ChunkedAttention",
    "CompressedAttention",
    "CrossAttention",
    "FullAttention",
    "GatedDeltaNet",
    "GatedLinearRecurrence",
    "Indexer",
    "KeyValueMixer",
    "KimiDeltaAttention",
    "LatentAttention",
    "LightningAttention",
    "Mamba1",
    "Mamba2",
    "Mixer",
    "RecurrentMixer",
    "Rwkv",
    "ShortConvolution",
    "SlidingAttention",
]
