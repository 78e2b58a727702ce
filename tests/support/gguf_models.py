"""GGUF models made by hand: metadata, the tensor list of a plain decoder, and what is read of them."""

from collections.abc import Mapping
from math import prod

from hwledger.library.gguf.reader import GgufHeader, GgufTensor
from hwledger.library.gguf.spec import gguf_spec
from hwledger.model.number_types import ggml_types, number_type
from hwledger.model.spec import ModelSpec
from support.gguf_writer import TensorRow

Keys = Mapping[str, object]
LLAMA_8B: Keys = {
    "block_count": 32, "embedding_length": 4096, "feed_forward_length": 14336, "context_length": 131072,
    "vocab_size": 128256, "attention.head_count": 32, "attention.head_count_kv": 8,
}  # fmt: skip
SMALLEST: Keys = {
    "block_count": 2, "embedding_length": 32, "feed_forward_length": 64, "context_length": 2048,
    "vocab_size": 96, "attention.head_count": 2, "attention.head_count_kv": 1,
}  # fmt: skip


def metadata(architecture: str, keys: Keys) -> dict[str, object]:
    """Return a header's metadata; the keys are written without their prefix."""
    return {"general.architecture": architecture} | {f"{architecture}.{key}": v for key, v in keys.items()}


def decoder_rows(
    keys: Keys, matrix: str = "f16", *, embedding: str = "", output: str = "", tied: bool = False
) -> list[TensorRow]:
    """Return a Llama's tensors: matrices of one type, or of their own for both ends, and norms in f32."""
    numbers = {key: value for key, value in keys.items() if isinstance(value, int)}
    width, inner, words = numbers["embedding_length"], numbers["feed_forward_length"], numbers["vocab_size"]
    head = numbers.get("attention.key_length", width // numbers["attention.head_count"])
    queries, values = head * numbers["attention.head_count"], head * numbers["attention.head_count_kv"]
    found = [_row("token_embd", embedding or matrix, width, words), _row("output_norm", "f32", width)]
    if not tied:
        found.append(_row("output", output or matrix, width, words))
    for il in range(numbers["block_count"]):
        found += [
            _row(f"blk.{il}.{name}", matrix, rows, columns)
            for name, rows, columns in (
                ("attn_q", width, queries), ("attn_k", width, values), ("attn_v", width, values),
                ("attn_output", queries, width), ("ffn_gate", width, inner), ("ffn_up", width, inner),
                ("ffn_down", inner, width),
            )
        ]  # fmt: skip
        found += [_row(f"blk.{il}.{name}", "f32", width) for name in ("attn_norm", "ffn_norm")]
    return found


def _row(stem: str, kind: str, *shape: int) -> TensorRow:
    number = number_type(kind).ggml_id
    assert number is not None
    return f"{stem}.weight", shape, number


def smallest() -> tuple[dict[str, object], list[TensorRow]]:
    """Return metadata and tensors of a Llama as small as blocks of 32 allow: f16 embedding, rest q8_0."""
    return metadata("llama", SMALLEST), decoder_rows(SMALLEST, "q8_0", embedding="f16")


def decoder_tensors(keys: Keys, *, tied: bool) -> tuple[GgufTensor, ...]:
    """Return a Llama's tensors as read: matrices in q4_K, the output in q6_K, norms in f32."""
    rows = decoder_rows(keys, "q4_K", output="q6_K", tied=tied)
    kinds = ggml_types()
    return tuple(
        GgufTensor(name, shape, kinds[number], 0, kinds[number].nbytes(prod(shape)))
        for name, shape, number in rows
    )


def model(architecture: str, keys: Keys, tensors: tuple[GgufTensor, ...] = ()) -> ModelSpec:
    """Return the model of these keys, written without their prefix."""
    header = GgufHeader(metadata=metadata(architecture, keys), tensors=tensors)
    return gguf_spec(header, f"{architecture}.gguf")
