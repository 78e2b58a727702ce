"""The ModelSpec of a GGUF file, from its header alone."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hwledger.errors import MalformedError
from hwledger.library.gguf.architectures import architecture
from hwledger.library.gguf.keys import Keys
from hwledger.library.gguf.layers import read_layers
from hwledger.library.gguf.tensors import expert_layers, model_tensors, plain_type
from hwledger.model.spec import Fact, ModelSpec
from hwledger.model.tensors import Part, Tensor

if TYPE_CHECKING:
    from hwledger.library.gguf.reader import GgufHeader

TOKENS = "tokenizer.ggml.tokens"


def gguf_spec(header: "GgufHeader", source: str) -> ModelSpec:
    """Return the model that a GGUF header describes.

    A header without tensors (metadata alone) gives layers, and with them cache and state; weights are
    then unknown, which ``unknowns`` says.

    Args:
        header: the header, as ``read_gguf_model`` returns it.
        source: name of the file.

    Raises:
        MalformedError: a key is absent, of the wrong type or contradicts another one.
    """
    metadata = header.metadata
    keys = Keys(metadata, _architecture(metadata, source), source)
    tensors = model_tensors(header.tensors)
    layers, mtp_layers = read_layers(keys, expert_layers(tensors) if tensors else None)
    physical = keys.required("block_count") - len(mtp_layers)
    main = tuple(one for one in tensors if one.layer is None or one.layer < physical)
    return ModelSpec(
        id=str(metadata.get("general.name") or source),
        architecture=keys.architecture,
        source=source,
        format="gguf",
        hidden_size=keys.required("embedding_length"),
        vocab_size=_vocabulary(keys, tensors),
        context_length=keys.number("context_length") or None,
        number_type=plain_type(main),
        layers=layers,
        mtp_layers=mtp_layers,
        tensors=main,
        mtp_tensors=tuple(one for one in tensors if one.layer is not None and one.layer >= physical),
        tied_embeddings=bool(tensors) and not any(one.name == "output.weight" for one in tensors),
        exact_tensors=bool(tensors),
        metadata=metadata,
        facts=_facts(keys),
        unknowns=_unknowns(keys, tensors),
    )


def _architecture(metadata: Mapping[str, object], source: str) -> str:
    name = metadata.get("general.architecture")
    if isinstance(name, str) and name:
        return name
    hint = "; it is a later part of a split model, so give the first part" if "split.no" in metadata else ""
    raise MalformedError(f"{source} states no general.architecture{hint or ', so it is no model file'}")


def _vocabulary(keys: Keys, tensors: tuple[Tensor, ...]) -> int:
    """Rows of the embedding where there is one, else the stated size, else the tokenizer's length."""
    for one in tensors:
        if one.name == "token_embd.weight":
            return one.shape[0]
    return keys.number("vocab_size") or _length(keys.metadata.get(TOKENS))


def _length(tokens: object) -> int:
    summary = getattr(tokens, "length", None)
    if isinstance(summary, int):
        return summary
    return len(tokens) if isinstance(tokens, list | tuple) else 0


def _facts(keys: Keys) -> dict[str, Fact]:
    arch, family = keys.architecture, architecture(keys.architecture)
    stated = {"layers": "block_count", "hidden_size": "embedding_length", "context_length": "context_length"}
    facts = {name: Fact(keys.value(key), f"{arch}.{key}") for name, key in stated.items()}
    facts["architecture"] = Fact(arch, "general.architecture")
    facts["layer_kinds"] = Fact(
        family.sliding or family.recurrent or "full", f"llama.cpp b11434 {family.source}"
    )
    return facts


def _unknowns(keys: Keys, tensors: tuple[Tensor, ...]) -> tuple[str, ...]:
    said = []
    if not tensors:
        said.append("the header holds no tensor list, so the weights are unknown")
    if keys.number("ple.ngram_size"):
        said.append("the convolution history of n-gram per-layer embeddings is not counted")
    if any(one.part is Part.TOWER for one in tensors):
        said.append("tensors of a vision or audio tower are counted as weights only")
    return tuple(said)
