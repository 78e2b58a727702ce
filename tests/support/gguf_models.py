"""GGUF headers made by hand: metadata, and the tensor list of a plain decoder."""

from collections.abc import Mapping

from hwledger.library.gguf.reader import GgufHeader, GgufTensor
from hwledger.library.gguf.spec import gguf_spec
from hwledger.model.number_types import number_type
from hwledger.model.spec import ModelSpec

LLAMA_8B: Mapping[str, object] = {
    "block_count": 32, "embedding_length": 4096, "feed_forward_length": 14336, "context_length": 131072,
    "vocab_size": 128256, "attention.head_count": 32, "attention.head_count_kv": 8,
}  # fmt: skip


def model(architecture: str, keys: Mapping[str, object], tensors: tuple[GgufTensor, ...] = ()) -> ModelSpec:
    """Return the model of these keys, written without their prefix."""
    metadata = {"general.architecture": architecture}
    metadata |= {f"{architecture}.{key}": value for key, value in keys.items()}  # type: ignore[dict-item]
    return gguf_spec(GgufHeader(metadata=metadata, tensors=tensors), f"{architecture}.gguf")


def tensor(name: str, kind: str, *shape: int) -> GgufTensor:
    """Return one tensor; the shape is in the file's order."""
    elements = 1
    for axis in shape:
        elements *= axis
    stored = number_type(kind)
    return GgufTensor(name=name, shape=shape, type=stored, offset=0, nbytes=stored.nbytes(elements))


def decoder_tensors(keys: Mapping[str, object], *, tied: bool) -> tuple[GgufTensor, ...]:
    """Return a Llama's tensors: matrices in q4_K, the output in q6_K, norms in f32."""
    numbers = {key: value for key, value in keys.items() if isinstance(value, int)}
    width, inner, words = numbers["embedding_length"], numbers["feed_forward_length"], numbers["vocab_size"]
    head = numbers.get("attention.key_length", width // numbers["attention.head_count"])
    queries, values = head * numbers["attention.head_count"], head * numbers["attention.head_count_kv"]
    found = [tensor("token_embd.weight", "q4_K", width, words), tensor("output_norm.weight", "f32", width)]
    if not tied:
        found.append(tensor("output.weight", "q6_K", width, words))
    for il in range(numbers["block_count"]):
        found += [
            tensor(f"blk.{il}.{name}.weight", "q4_K", rows, columns)
            for name, rows, columns in (
                ("attn_q", width, queries), ("attn_k", width, values), ("attn_v", width, values),
                ("attn_output", queries, width), ("ffn_gate", width, inner), ("ffn_up", width, inner),
                ("ffn_down", inner, width),
            )
        ]  # fmt: skip
        found += [tensor(f"blk.{il}.{name}.weight", "f32", width) for name in ("attn_norm", "ffn_norm")]
    return tuple(found)
