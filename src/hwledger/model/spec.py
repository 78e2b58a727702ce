"""ModelSpec: everything that planning needs to know of one model, and where each fact came from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from hwledger.model.census import Census, count_parameters
from hwledger.model.layers import LayerSpec
from hwledger.model.origin import Origin
from hwledger.model.quantisation import Quantisation
from hwledger.model.reading import Reading
from hwledger.model.tensors import Tensor


@dataclass(frozen=True, slots=True)
class Fact:
    """One value and its origin: a key of a file, a class default, a derivation."""

    value: object
    origin: str


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """One model as an engine would load it.

    Attributes:
        id: name or path that the user gave or the file states.
        architecture: ``model_type`` of a config, ``general.architecture`` of a GGUF.
        source: where it was read from.
        format: ``config``, ``safetensors``, ``mlx``, ``gguf`` or ``catalogue``.
        hidden_size: width of the residual stream.
        vocab_size: rows of the embedding.
        context_length: tokens that the model was made for; ``None`` where not stated.
        number_type: type of unquantised weights and activations (``bf16``).
        layers: the decoder layers, in order.
        mtp_layers: multi-token-prediction layers, which engines load only for speculation.
        encoder_layers: layers of an encoder (encoder-decoder models); they keep no cache.
        tensors: every tensor; tied ones once. MTP tensors are in ``mtp_tensors``.
        mtp_tensors: tensors of the MTP heads.
        tied_embeddings: the output matrix is the embedding.
        exact_tensors: the tensors come from file headers and not from a config.
        stored_tensors: the tensors as the files beside a config hold them (packed shapes, exact
            bytes, MTP included); empty where there is only a config. ``tensors`` stays logical.
        quantisation: how the weights are stored; ``None``: unquantised or per tensor in the file.
        rope_tables: (positions, rotary width) of each distinct rotary table.
        metadata: raw metadata of the source that an engine profile may need (GGUF keys, config keys).
        facts: where each field came from.
        unknowns: what could not be read or is not modelled, in sentences.
        revision: commit of the repository that was read; empty where there is none.
        reading: what was read to learn this, where that is worth a line.
        origin: where the files are; ``None``: not known, as of a model made by hand.
        adapter: where the adapter is that is counted with the weights, where there is one.
        adapter_rank: the largest rank of its matrices; ``None`` where it does not state one.
    """

    id: str
    architecture: str
    source: str
    format: str
    hidden_size: int
    vocab_size: int
    context_length: int | None
    number_type: str
    layers: tuple[LayerSpec, ...]
    mtp_layers: tuple[LayerSpec, ...] = ()
    encoder_layers: tuple[LayerSpec, ...] = ()
    tensors: tuple[Tensor, ...] = ()
    mtp_tensors: tuple[Tensor, ...] = ()
    tied_embeddings: bool = False
    exact_tensors: bool = False
    stored_tensors: tuple[Tensor, ...] = ()
    quantisation: Quantisation | None = None
    rope_tables: tuple[tuple[int, int], ...] = ()
    metadata: Mapping[str, object] = field(default_factory=dict)
    facts: Mapping[str, Fact] = field(default_factory=dict)
    unknowns: tuple[str, ...] = ()
    revision: str = ""
    reading: Reading | None = None
    origin: Origin | None = None
    adapter: Origin | None = None
    adapter_rank: int | None = None

    @property
    def weights_known(self) -> bool:
        """Whether any tensor is known: a server or a header may tell of layers alone."""
        return bool(self.tensors or self.stored_tensors)

    @cached_property
    def census(self) -> Census:
        """Parameters of the model, total and active, per part and per layer; counted once."""
        return count_parameters(self.tensors, self.mtp_tensors, self.layers)
