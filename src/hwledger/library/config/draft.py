"""Draft: a model while its config is read; collects tensors and layers and becomes a ModelSpec."""

from collections.abc import Iterator
from contextlib import contextmanager

from hwledger.library.config.reader import Config
from hwledger.model.channel import ChannelMixer
from hwledger.model.layers import LayerSpec
from hwledger.model.mixers import Mixer
from hwledger.model.tensors import Part, Split, Tensor


class Draft:
    """What a family fills in.

    Attributes:
        config: the text config that is being read.
        tensors: tensors so far, in checkpoint order.
        layers: decoder layers so far.
        mtp_layers, mtp_tensors: the same of the MTP heads.
        encoder_layers: layers of an encoder.
        tied: the output matrix is the embedding.
        rope_tables: (positions, rotary width) of each distinct rotary table.
        unknowns: what could not be read, in sentences.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.hidden = config.integer("hidden_size", "n_embd", "n_embed", "d_model", "dim", least=1)
        self.vocab = config.integer("vocab_size", "padded_vocab_size", least=1)
        self.tensors: list[Tensor] = []
        self.layers: list[LayerSpec] = []
        self.mtp_layers: list[LayerSpec] = []
        self.mtp_tensors: list[Tensor] = []
        self.encoder_layers: list[LayerSpec] = []
        self.tied = False
        self.rope_tables: set[tuple[int, int]] = set()
        self.unknowns: list[str] = []
        self._mixers: dict[tuple[Mixer, ...], tuple[Mixer, ...]] = {}
        self._prefix = ""
        self._layer: int | None = None
        self._target = self.tensors

    @contextmanager
    def scope(self, prefix: str, layer: int | None = None) -> Iterator[None]:
        """Prefix the names of the tensors added inside, and give them a layer."""
        before = self._prefix, self._layer
        self._prefix += prefix
        self._layer = layer if layer is not None else self._layer
        yield
        self._prefix, self._layer = before

    @contextmanager
    def mtp(self) -> Iterator[None]:
        """Send the tensors added inside to the MTP heads."""
        before, self._target = self._target, self.mtp_tensors
        yield
        self._target = before

    def add(  # noqa: PLR0913 - what a tensor is
        self,
        name: str,
        shape: tuple[int, ...],
        part: Part,
        *,
        split: Split = Split.REPLICATED,
        copies: int = 1,
        linear: bool = False,
    ) -> None:
        """Add one tensor, or ``copies`` alike ones; an empty one is left out."""
        if copies and all(shape):
            full = self._prefix + name
            self._target.append(Tensor(full, shape, part, self._layer, copies, split, linear))

    def linear(  # noqa: PLR0913 - what a layer is
        self,
        name: str,
        out: int,
        inputs: int,
        part: Part,
        *,
        bias: bool = False,
        split: Split = Split.SHARDED,
        copies: int = 1,
    ) -> None:
        """Add a linear layer: its matrix and, where it has one, its bias."""
        self.add(f"{name}.weight", (out, inputs), part, split=split, copies=copies, linear=True)
        if bias:
            self.add(f"{name}.bias", (out,), part, split=split, copies=copies)

    def norm(self, name: str, width: int, *, bias: bool = False) -> None:
        """Add a normalisation: a weight and, for LayerNorm, a bias."""
        self.add(f"{name}.weight", (width,), Part.NORM)
        if bias:
            self.add(f"{name}.bias", (width,), Part.NORM)

    def layer(
        self, kind: str, *mixers: Mixer, channel: ChannelMixer | None = None, mtp: bool = False
    ) -> None:
        """Append a decoder layer (or an MTP layer) whose tensors were or will be added under its index."""
        # equal mixers become one object, so that engines group layers by identity
        mixers = self._mixers.setdefault(mixers, mixers)
        target = self.mtp_layers if mtp else self.layers
        index = len(target) + (len(self.layers) if mtp else 0)
        target.append(LayerSpec(index=index, kind=kind, mixers=mixers, channel=channel))

    def embed(
        self,
        name: str = "model.embed_tokens",
        *,
        head: str = "lm_head",
        tied: bool | None = None,
        head_bias: bool = False,
    ) -> None:
        """Add the embedding and, unless they are tied, the output matrix."""
        self.tied = self.config.flag("tie_word_embeddings") if tied is None else tied
        self.add(f"{name}.weight", (self.vocab, self.hidden), Part.EMBEDDING, split=Split.VOCAB)
        if not self.tied:
            self.linear(head, self.vocab, self.hidden, Part.LM_HEAD, split=Split.VOCAB)
        if head_bias:
            self.add(f"{head}.bias", (self.vocab,), Part.LM_HEAD, split=Split.VOCAB)
