"""llama-quantize's mixes: the type of each tensor."""

import pytest

from hwledger.errors import UnknownOptionError
from hwledger.model.channel import DenseMLP
from hwledger.model.ggml_mixes import ggml_mix, is_ggml_mix, mixed_types
from hwledger.model.layers import LayerSpec
from hwledger.model.mixers import FullAttention
from hwledger.model.spec import ModelSpec
from hwledger.model.tensors import Part, Tensor


def llama_like(layers: int, hidden: int = 4096, kv_heads: int = 8, *, tied: bool = False) -> ModelSpec:
    """Return a Llama-3-8B-like model with ``layers`` layers."""
    heads, width = hidden // 128, 3 * hidden + hidden // 2
    tensors = [Tensor("model.embed_tokens.weight", (128256, hidden), Part.EMBEDDING)]
    for i in range(layers):
        matrices = {
            "self_attn.q_proj": (hidden, hidden, Part.ATTENTION),
            "self_attn.k_proj": (kv_heads * 128, hidden, Part.ATTENTION),
            "self_attn.v_proj": (kv_heads * 128, hidden, Part.ATTENTION),
            "self_attn.o_proj": (hidden, hidden, Part.ATTENTION),
            "mlp.gate_proj": (width, hidden, Part.MLP),
            "mlp.up_proj": (width, hidden, Part.MLP),
            "mlp.down_proj": (hidden, width, Part.MLP),
        }
        for name, (out, inputs, part) in matrices.items():
            tensors.append(Tensor(f"model.layers.{i}.{name}.weight", (out, inputs), part, i, linear=True))
        tensors.extend(
            Tensor(f"model.layers.{i}.{name}.weight", (hidden,), Part.NORM, i)
            for name in ("input_layernorm", "post_attention_layernorm")
        )
    tensors.append(Tensor("model.norm.weight", (hidden,), Part.NORM))
    if not tied:
        tensors.append(Tensor("lm_head.weight", (128256, hidden), Part.LM_HEAD, linear=True))
    mixer = FullAttention(query_heads=heads, kv_heads=kv_heads, key_width=128, value_width=128)
    return ModelSpec(
        id="llama-like", architecture="llama", source="test", format="config", hidden_size=hidden,
        vocab_size=128256, context_length=8192, number_type="bf16", tensors=tuple(tensors),
        tied_embeddings=tied,
        layers=tuple(
            LayerSpec(index=i, kind="full_attention", mixers=(mixer,), channel=DenseMLP(width=width))
            for i in range(layers)
        ),
    )  # fmt: skip


def file_bytes(spec: ModelSpec, mix: str) -> int:
    """Return the tensor bytes of a whole file."""
    kinds = mixed_types(spec, mix)
    return sum(kind.nbytes(t.parameters) for t, kind in zip(spec.tensors, kinds, strict=True))


@pytest.mark.requirement("FR-PLAN-WEIGHTS")
@pytest.mark.parametrize(
    ("mix", "gibibytes"),
    [("Q4_0", 4.34), ("Q4_1", 4.78), ("Q5_0", 5.21), ("Q5_1", 5.65), ("Q2_K", 2.96),
     ("Q3_K_S", 3.41), ("Q3_K_M", 3.74), ("Q3_K_L", 4.03), ("Q4_K_S", 4.37), ("Q4_K_M", 4.58),
     ("Q5_K_S", 5.21), ("Q5_K_M", 5.33), ("Q6_K", 6.14), ("Q8_0", 7.96)],
)  # fmt: skip
def test_sizes_that_llama_quantize_states_for_llama_3_8b(mix: str, gibibytes: float) -> None:
    """The tool's own help states the size of Llama-3-8B per mix; the rules come within 0.6 %."""
    assert file_bytes(llama_like(32), mix) / 2**30 == pytest.approx(gibibytes, rel=0.006)


@pytest.mark.requirement("FR-PLAN-WEIGHTS")
def test_tied_embedding_takes_the_type_of_the_output() -> None:
    """A tied embedding is stored as the output matrix would be: Q6_K in a Q4_K_M file."""
    assert mixed_types(llama_like(8, tied=True), "Q4_K_M")[0].name == "q6_K"
    assert mixed_types(llama_like(8), "Q4_K_M")[0].name == "q4_K"


@pytest.mark.requirement("FR-PLAN-WEIGHTS")
def test_rows_that_no_block_divides_fall_back() -> None:
    """A row of 896 (no multiple of 256) is stored as Q5_0 in place of Q4_K; a norm stays f32."""
    kinds = mixed_types(llama_like(8, hidden=896, kv_heads=1), "Q4_K_S")
    assert kinds[1].name == "q5_0"
    assert kinds[8].name == "f32"


@pytest.mark.requirement("FR-PLAN-WEIGHTS")
def test_names() -> None:
    """Aliases read as llama-quantize reads them; an unknown mix is refused with the known ones."""
    assert ggml_mix("q4_k") == "Q4_K_M"
    assert is_ggml_mix("iq3_xs")
    assert not is_ggml_mix("q9")
    with pytest.raises(UnknownOptionError, match="Q4_K_M"):
        ggml_mix("q9")
