"""SGLang's log: ranks, replicas, pools, and a model that drafts."""

import pytest

from hwledger.telemetry.engines.sglang_log import read_sglang_log
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Basis, Reading, Value
from hwledger.telemetry.recorded import formats, read_recorded

pytestmark = pytest.mark.requirement("FR-TEL-ENGINES")
Q = Quantity
GIB = 1 << 30


def value(reading: Reading) -> object:
    """Return a value; fails on a reason."""
    assert isinstance(reading, Value), reading
    return reading.value


def load(rank: str, weights: str, tokens: int, key: str, graph: str = "1.5") -> str:
    """Lines of one rank that loads."""
    at = f"[2025-01-02 03:04:05{rank}]"
    return (
        f"{at} Load weight end. type=X, dtype=torch.bfloat16, avail mem=50.0 GB, mem usage={weights} GB.\n"
        f"{at} KV Cache is allocated. #tokens: {tokens}, K size: {key} GB, V size: {key} GB\n"
        f"{at} Capture cuda graph end. Time elapsed: 8.9 s. avail mem=9.6 GB. mem usage={graph} GB.\n"
    )


def ready(rank: str, tokens: int) -> str:
    """The lines of a rank that is ready, and works."""
    at = f"[2025-01-02 03:04:05{rank}]"
    return (
        f"{at} max_total_num_tokens={tokens}, max_running_requests=8, context_len=99\n"
        f"{at} Decode batch. #running-req: 2, #token: 50, token usage: 0.25, gen throughput (token/s): 7.5,"
        " #queue-req: 1, \n"
    )


def test_bytes_are_of_one_rank_and_the_first_model() -> None:
    """The largest rank counts; what is loaded behind the model drafts for it; a new start begins anew."""
    first = load(" TP0", "9.00", 5, "1.0")
    start = "[2025-01-02 03:04:05] server_args=ServerArgs(model_path='org/m', tp_size=2)\n"
    text = first + start + load(" TP0", "2.00", 1000, "3.0") + load(" TP1", "2.50", 1000, "3.0")
    text += load(" TP0", "0.10", 7, "0.1", "0.2") + ready(" TP0", 1000)
    assert [each.name for each in formats() if each.recognises(text)] == ["SGLang log"]
    (engine,) = read_recorded(text)[1].engines
    (model,) = engine.models
    assert (model.name, value(model[Q.WEIGHTS_BYTES]), value(model[Q.KV_CACHE_BYTES])) == (
        "org/m", 2.5 * GIB, 6 * GIB,
    )  # fmt: skip
    assert value(model.devices["tp0"][Q.GRAPH_BYTES]) == 1.5 * GIB
    quantities = (Q.KV_CACHE_TOKENS, Q.SLOTS, Q.CONTEXT, Q.REQUESTS_RUNNING, Q.REQUESTS_WAITING)
    assert [value(engine.readings[each]) for each in quantities] == [1000, 8, 99, 2, 1]
    assert [value(engine.readings[each]) for each in (Q.KV_CACHE_USED, Q.DECODE_SPEED)] == [0.25, 7.5]
    assert any("draft" in note for note in engine.notes)


def test_replicas_are_added_and_pools_have_no_one_count() -> None:
    """Data-parallel ranks hold other requests; of a windowed model's pools neither count is the cache's."""
    text = "".join(load(f" DP{dp} TP0", "2.0", 100 + dp, "1.0") + ready(f" DP{dp} TP0", 100) for dp in (0, 1))
    told = read_sglang_log(text).engines[0].readings
    tokens = told[Q.KV_CACHE_TOKENS]
    assert isinstance(tokens, Value)
    assert (tokens.value, tokens.basis) == (200, Basis.DERIVED)
    assert (value(told[Q.DECODE_SPEED]), value(told[Q.CONTEXT])) == (15, 99)
    pools = "".join(
        f"[2025-01-02 03:04:05 TP0] KV Cache is allocated. dtype: x, #tokens: {n}, KV size: 2.0 GB\n"
        for n in (100, 20)
    )
    engine = read_sglang_log(pools).engines[0]
    assert Q.KV_CACHE_TOKENS not in engine.readings
    assert value(engine.models[0][Q.KV_CACHE_BYTES]) == 4 * GIB
    alone = read_sglang_log(pools.splitlines()[0]).engines[0]
    assert value(alone.readings[Q.KV_CACHE_TOKENS]) == 100
