"""What a run's file states of the quantisation is read as llama.cpp writes it."""

import pytest

from hwledger.library.benchmarks.run import BenchmarkRun
from hwledger.library.benchmarks.stated import stated_weights


@pytest.mark.requirement("FR-SPEED-CALIBRATION")
@pytest.mark.parametrize(
    ("kind", "file", "weights"),
    [
        ("qwen3 8B Q4_K - Medium", "", "Q4_K_M"),
        ("llama 7B Q4_0", "models/llama-2-7b.Q4_0.gguf", "Q4_0"),
        ("llama 8B Q2_K - Medium", "", "Q2_K"),
        ("llama 8B Q3_K - Small", "", "Q3_K_S"),
        ("llama 8B IQ4_XS - 4.25 bpw", "", "IQ4_XS"),
        ("llama 8B IQ3_S mix - 3.66 bpw", "", "IQ3_M"),
        ("gpt-oss 20B MXFP4 MoE", "", "MXFP4_MOE"),
        ("llama 8B F16", "", "f16"),
        ("qwen3 8B BF16", "", "bf16"),
        ("", "Qwen3-8B-Q5_K_S.gguf", "Q5_K_S"),
        ("", "Qwen3-8B-UD-Q4_K_XL.gguf", None),
        ("llama 8B", "model.gguf", None),
    ],
)
def test_the_quantisation_is_read(kind: str, file: str, weights: str | None) -> None:
    """The type that llama.cpp prints comes before the file's name; what is not known is not guessed."""
    assert stated_weights(BenchmarkRun(engine="llama.cpp", weights=kind, model=file)) == weights
