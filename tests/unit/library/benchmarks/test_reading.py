"""What benchmark programs print is read whatever its form, and what is no benchmark is refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwledger.errors import HwledgerError, MalformedError
from hwledger.library.benchmarks.reading import BenchmarkRun, read_runs

MARKDOWN = """
| model         |     size | params | backend | ngl | type_k | fa |          test |            t/s |
| ------------- | -------: | -----: | ------- | --: | -----: | -: | ------------: | -------------: |
| llama 7B Q4_0 | 3.56 GiB | 6.74 B | CUDA    |  99 |   q8_0 |  1 |         pp512 | 13000.5 ± 50.1 |
| llama 7B Q4_0 | 3.56 GiB | 6.74 B | CUDA    |  99 |   q8_0 |  1 |         tg128 |  160.25 ± 0.50 |
| llama 7B Q4_0 | 3.56 GiB | 6.74 B | CUDA    |  99 |   q8_0 |  1 | tg128 @ d4096 |  130.75 ± 0.50 |
| llama 7B Q4_0 | 3.56 GiB | 6.74 B | CUDA    |  99 |   q8_0 |  1 |   pp512+tg128 |  600.00 ± 0.50 |

build: 8a4280c (6445)
"""
RECORD = {
    "build_commit": "8a4280c", "build_number": 6445, "gpu_info": "NVIDIA GeForce RTX 4090",
    "backends": "CUDA", "model_filename": "models/llama-2-7b.Q4_0.gguf", "model_type": "llama 7B Q4_0",
    "n_batch": 2048,
    "n_ubatch": 512, "type_k": "q8_0", "n_gpu_layers": 99, "flash_attn": True, "n_prompt": 0, "n_gen": 128,
    "n_depth": 4096, "avg_ts": 130.75,
}  # fmt: skip
PRINTED = """
============ Serving Benchmark Result ============
Successful requests:                     100
Maximum request concurrency:             16
Benchmark duration (s):                  58.30
Total input tokens:                      102400
Total generated tokens:                  25600
Output token throughput (tok/s):         439.11
---------------Time to First Token----------------
Mean TTFT (ms):                          250.00
-----Time per Output Token (excl. 1st token)------
Mean TPOT (ms):                          20.00
==================================================
"""


def sql(record: dict[str, object]) -> str:
    """Return a record as llama-bench's SQL."""
    heads = ", ".join(record)
    values = ", ".join("'" + str(value).replace("'", "''") + "'" for value in record.values())
    return f"CREATE TABLE IF NOT EXISTS test ({heads});\n\nINSERT INTO test ({heads}) VALUES ({values});\n"


def as_csv(record: dict[str, object]) -> str:
    """Return a record as llama-bench's CSV."""
    quoted = ",".join(f'"{value}"' for value in record.values())
    return ",".join(record) + "\n" + quoted + "\n"


@pytest.mark.requirement("FR-SPEED-CALIBRATION")
def test_a_markdown_table_is_read() -> None:
    """Prompts and answers apart, depth and options with them; mixed tests say neither and are left out."""
    prompt, answer, deep = read_runs(MARKDOWN, "bench.md")
    assert (prompt.prefill, prompt.prompt_tokens, prompt.decode) == (13000.5, 512, None)
    assert (answer.decode, answer.output_tokens, answer.cached_tokens) == (160.25, 128, 0)
    assert (deep.cached_tokens, deep.version, deep.backend) == (4096, "b6445", "CUDA")
    assert dict(deep.options) == {"flash_attn": "on", "n_gpu_layers": "99", "cache_type_k": "q8_0"}


@pytest.mark.requirement("FR-SPEED-CALIBRATION")
@pytest.mark.parametrize(
    "text",
    [
        json.dumps([RECORD]),
        json.dumps(RECORD) + "\n",
        sql(RECORD),
        as_csv(RECORD),
        "log line\n" + as_csv(RECORD),
    ],
)
def test_every_form_of_llama_bench_says_the_same(text: str) -> None:
    """JSON, JSON lines, SQL and CSV of one row are one and the same run."""
    (run,) = read_runs(text, "bench")
    assert (run.decode, run.output_tokens, run.cached_tokens) == (130.75, 128, 4096)
    assert (run.device, run.model) == ("NVIDIA GeForce RTX 4090", "models/llama-2-7b.Q4_0.gguf")
    assert dict(run.options)["n_ubatch"] == "512"
    assert dict(run.options)["flash_attn"] in {"on", "True"}


@pytest.mark.requirement("FR-SPEED-CALIBRATION")
def test_a_result_of_vllm_is_read_in_both_forms() -> None:
    """The mean request: tokens, TPOT as a rate, TTFT; the file says the model too."""
    (printed,) = read_runs(PRINTED, "serve.txt")
    document = {
        "model_id": "Qwen/Qwen3-8B", "completed": 100, "max_concurrency": 16, "total_input_tokens": 102400,
        "total_output_tokens": 25600, "mean_ttft_ms": 250.0, "mean_tpot_ms": 20.0,
    }  # fmt: skip
    (filed,) = read_runs(json.dumps(document), "result.json")
    assert (filed.model, printed.model) == ("Qwen/Qwen3-8B", "")
    for run in (printed, filed):
        assert (run.prompt_tokens, run.output_tokens, run.concurrency) == (1024, 256, 16)
        assert (run.decode, run.ttft_seconds) == (pytest.approx(50.0), 0.25)


@pytest.mark.requirement("FR-SPEED-CALIBRATION")
def test_a_rate_of_arrivals_is_no_concurrency() -> None:
    """A finite rate is carried as such in both forms; with neither it is asked for."""
    document = {
        "completed": 1000, "request_rate": 2.0, "total_input_tokens": 1024000,
        "total_output_tokens": 256000, "mean_ttft_ms": 90.0, "mean_tpot_ms": 8.0,
    }  # fmt: skip
    limit = "Maximum request concurrency:             16\n"
    (filed,) = read_runs(json.dumps(document), "result.json")
    (printed,) = read_runs(PRINTED.replace(limit, "Request rate configured (RPS):  2.00\n"), "serve.txt")
    assert [(run.requests_per_second, run.concurrency) for run in (filed, printed)] == [(2.0, 1)] * 2
    for text in (json.dumps({**document, "request_rate": "inf"}), PRINTED.replace(limit, "")):
        with pytest.raises(MalformedError, match="--max-concurrency"):
            read_runs(text, "thing")
    (both,) = read_runs(json.dumps({**document, "max_concurrency": 64}), "result.json")
    assert (both.requests_per_second, both.concurrency) == (2.0, 64)


@pytest.mark.requirement("FR-SPEED-CALIBRATION", "NFR-BAD-INPUT")
@pytest.mark.parametrize("rate", [1e-322, 1e-300, 1e300])
def test_impossible_speeds_are_refused(rate: float) -> None:
    """One sentence with the bounds."""
    run = {"engine": "mlx", "decode_tokens_per_second": rate}
    with pytest.raises(MalformedError, match="0\\.001 to 1e"):
        read_runs(json.dumps({"schema": "hwledger.runs/1", "runs": [run]}), "thing")


@pytest.mark.requirement("FR-SPEED-CALIBRATION")
def test_our_own_form_is_read() -> None:
    """Any program may write ``hwledger.runs/1``."""
    run = {"engine": "mlx", "model": "Qwen/Qwen3-8B", "device": "M4 Max 64GB", "prompt_tokens": 2048,
           "output_tokens": 128, "decode_tokens_per_second": 80.5,
           "options": {"max_kv_size": 4096}}  # fmt: skip
    (read,) = read_runs(json.dumps({"schema": "hwledger.runs/1", "runs": [run]}), "own.json")
    assert read == BenchmarkRun(
        engine="mlx", model="Qwen/Qwen3-8B", device="M4 Max 64GB", prompt_tokens=2048, output_tokens=128,
        decode=80.5, options=(("max_kv_size", "4096"),), source="own.json, run 1",
    )  # fmt: skip


@pytest.mark.requirement("FR-SPEED-CALIBRATION", "NFR-BAD-INPUT")
@pytest.mark.parametrize(
    "text",
    ["", "hello", "{", "[]", "{}", '{"schema": "hwledger.runs/1"}',
     '{"schema": "hwledger.runs/1", "runs": [3]}',
     '{"schema": "hwledger.runs/1", "runs": [{"engine": "mlx", "decode_tokens_per_second": -1}]}',
     '{"schema": "hwledger.runs/1", "runs": [{"engine": "mlx", "prompt_tokens": 1.5}]}',
     '[{"avg_ts": NaN, "n_prompt": 512, "n_gen": 0}]', '[{"avg_ts": -3, "n_prompt": 512, "n_gen": 0}]',
     "| test | t/s |\n| --- | --- |\n| pp512 | fast |", "============ Serving Benchmark Result ===========",
     PRINTED.replace("20.00", "0"), "[" * 100_000],
)  # fmt: skip
def test_what_is_no_benchmark_is_refused(text: str) -> None:
    """One sentence that names the file."""
    with pytest.raises(MalformedError, match="thing"):
        read_runs(text, "thing")


@pytest.mark.requirement("FR-SPEED-CALIBRATION", "NFR-BAD-INPUT")
@given(st.text() | st.recursive(
    st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
    lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from(["avg_ts", "n_prompt", "n_gen", "n_depth", "schema", "runs", "engine", "mean_tpot_ms",
                         "total_input_tokens", "completed", "flash_attn"]), inner),
    max_leaves=12,
).map(json.dumps))  # fmt: skip
def test_no_text_ends_in_a_traceback(text: str) -> None:
    """Runs or one of our own errors, whatever the file holds."""
    try:
        runs = read_runs(text, "thing")
    except HwledgerError:
        return
    assert all(rate is None or rate > 0 for run in runs for rate in (run.prefill, run.decode))
