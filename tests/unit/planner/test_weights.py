"""Weight tables: as stored and re-packed."""

from re import compile as pattern

import pytest

from hwledger.errors import UnknownOptionError
from hwledger.model.layers import LayerSpec
from hwledger.model.mixers import FullAttention
from hwledger.model.quantisation import Packing, Quantisation
from hwledger.model.spec import ModelSpec
from hwledger.model.tensors import Part, Tensor
from hwledger.planner.memory import Basis
from hwledger.planner.weights import weigh, weight_types


def tiny(**changes: object) -> ModelSpec:
    """Return a model of one layer: embedding, one matrix, two experts, a norm and an MTP matrix."""
    layer = LayerSpec(
        index=0,
        kind="full_attention",
        mixers=(FullAttention(query_heads=4, kv_heads=4, key_width=64, value_width=64),),
    )
    fields: dict[str, object] = {
        "id": "tiny", "architecture": "tiny", "source": "test", "format": "config", "hidden_size": 256,
        "vocab_size": 1000, "context_length": 4096, "number_type": "bf16", "layers": (layer,),
        "tensors": (
            Tensor("embed.weight", (1000, 256), Part.EMBEDDING),
            Tensor("layers.0.q_proj.weight", (256, 256), Part.ATTENTION, 0, linear=True),
            Tensor("layers.0.experts.*.up_proj.weight", (512, 256), Part.EXPERTS, 0, copies=2, linear=True),
            Tensor("layers.0.norm.weight", (256,), Part.NORM, 0),
        ),
        "mtp_tensors": (Tensor("layers.1.eh_proj.weight", (256, 512), Part.OTHER, 1, linear=True),),
    }  # fmt: skip
    return ModelSpec(**{**fields, **changes})  # type: ignore[arg-type]


EMBEDDING, MATRIX, EXPERTS, NORM, MTP = 256_000, 65_536, 262_144, 256, 131_072


@pytest.mark.requirement("FR-PLAN-WEIGHTS")
def test_unquantised_weights_are_two_bytes_each() -> None:
    """bf16 weights are exact, per layer and per part, with the MTP head apart."""
    table = weigh(tiny())
    assert table.total == 2 * (EMBEDDING + MATRIX + EXPERTS + NORM)
    assert table.by_layer == (2 * (MATRIX + EXPERTS + NORM),)
    assert table.outside_layers == table.by_part[Part.EMBEDDING] == 2 * EMBEDDING
    assert table.mtp == 2 * MTP
    assert (table.low, table.high, table.basis) == (table.total, table.total, Basis.EXACT)


@pytest.mark.requirement("FR-PLAN-WEIGHTS")
def test_awq_packs_linear_matrices_only() -> None:
    """4 bits and 20 bits per group of 128; the embedding and the norm stay bf16."""
    packed = (MATRIX + EXPERTS) * 4 // 8 + (MATRIX + EXPERTS) // 128 * 20 // 8
    assert weigh(tiny(), "awq").total == packed + 2 * (EMBEDDING + NORM)


@pytest.mark.requirement("FR-PLAN-WEIGHTS")
def test_mlx_packs_the_embedding_too() -> None:
    """4 bits and 32 bits per group of 64, which is 4.5 bits a weight; the norm stays bf16."""
    assert weigh(tiny(), "4bit").total == (EMBEDDING + MATRIX + EXPERTS) * 9 // 16 + 2 * NORM


@pytest.mark.requirement("FR-PLAN-WEIGHTS")
def test_a_number_type_repacks_every_matrix() -> None:
    """f32 doubles every matrix; the norm stays as it is."""
    assert weigh(tiny(), "f32").total == 4 * (EMBEDDING + MATRIX + EXPERTS) + 2 * NORM


@pytest.mark.requirement("FR-PLAN-WEIGHTS")
def test_a_quantised_checkpoint_and_its_exceptions() -> None:
    """Modules that the config excepts stay bf16, the rest is packed."""
    quantisation = Quantisation(
        method="fp8", packing=Packing(name="fp8", bits=8), overrides=((pattern("q_proj"), None),)
    )
    total = weigh(tiny(quantisation=quantisation)).total
    assert total == EXPERTS + 2 * (EMBEDDING + MATRIX + NORM)


@pytest.mark.requirement("FR-PLAN-WEIGHTS")
def test_file_headers_win_over_shapes() -> None:
    """Bytes from headers are taken as they are, and tensors of MTP layers are told apart."""
    stored = (
        Tensor("a", (8,), Part.MLP, 0, stored_bytes=100),
        Tensor("b", (8,), Part.OTHER, 1, stored_bytes=40),
    )
    table = weigh(tiny(stored_tensors=stored))
    assert (table.total, table.mtp) == (100, 40)


@pytest.mark.requirement("FR-PLAN-WEIGHTS", "NFR-BAD-INPUT")
def test_unknown_type_is_refused() -> None:
    """The sentence names the type and the known ones."""
    with pytest.raises(UnknownOptionError, match=r"weight type 'q99'.*Q4_K_M"):
        weigh(tiny(), "q99")


@pytest.mark.requirement("FR-PLAN-WEIGHTS")
def test_every_listed_type_can_be_weighed() -> None:
    """No name in the list is refused, and each interval holds its figure."""
    for name in weight_types():
        table = weigh(tiny(), name)
        assert 0 < table.low <= table.total <= table.high
