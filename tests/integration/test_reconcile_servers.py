"""Engines that run anyway, reconciled by their address: each with what it tells, and no more."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hwledger.errors import UnreachableError, UsageError
from hwledger.looking import reconcile_server
from hwledger.reconcile.document import reconciliation_document
from hwledger.reconcile.term import Expected, Quality, Reconciliation, Seen, Unknown
from support import tiny
from support.checkpoints import put
from support.engine_servers import EngineServer, LlamaServer, Sglang, Tgi, Vllm

pytestmark = [pytest.mark.enable_socket, pytest.mark.requirement("FR-RUN-RECONCILE")]
METRICS = (
    'vllm:cache_config_info{block_size="16",cache_dtype="auto",enable_prefix_caching="True",'
    'gpu_memory_utilization="0.9",num_gpu_blocks="100"} 1.0\n'
)
LOG = """srv    load_model: loading model '{path}'
load_tensors:   CPU_Mapped model buffer size =     1.00 MiB
llama_context: n_ctx         = 256
llama_kv_cache:        CPU KV buffer size =     2.00 MiB
sched_reserve:        CPU compute buffer size =     3.00 MiB
"""


def folder(tmp_path: Path) -> str:
    """Return a small checkpoint."""
    return str(put(tmp_path / "tiny", tiny.plain()))


def card(path: str, owner: str) -> dict[str, object]:
    """Return what ``/v1/models`` says of it."""
    model = {"id": "served", "object": "model", "owned_by": owner, "root": path, "parent": None,
             "max_model_len": 256}  # fmt: skip
    return {"object": "list", "data": [model]}


def vllm(path: str) -> EngineServer:
    """Return vLLM with a pool of 100 blocks."""
    return Vllm(METRICS, **{"/v1/models": card(path, "vllm")})


def sglang(path: str, ranks: int = 1) -> EngineServer:
    """Return SGLang, which tells weights, cache and graphs of one rank."""
    memory = {"weight": 1.5, "kvcache": 2.25, "token_capacity": 60000, "graph": 0.5}
    states = [{"max_total_num_tokens": 60000, "memory_usage": memory}]
    return Sglang({"model_path": path, "internal_states": states, "tp_size": ranks, "kv_cache_dtype": "auto"})


def tgi(path: str) -> EngineServer:
    """Return TGI, which tells no memory at all."""
    return Tgi({"model_id": path, "max_total_tokens": 256, "version": "3.3.5", "max_concurrent_requests": 4,
                "router": "text-generation-router"})  # fmt: skip


SERVERS: dict[str, Callable[[str], EngineServer]] = {"vllm": vllm, "sglang": sglang, "tgi": tgi}


@pytest.mark.parametrize("name", SERVERS)
def test_what_an_engine_does_not_tell_stays_unknown(name: str, tmp_path: Path) -> None:
    """Every planned term is there with its basis; what is seen has a source, what is not has a reason."""
    with SERVERS[name](folder(tmp_path)) as server:
        found = reconcile_server(server.url, options=[])
    assert found.planned_bytes > 0
    terms = {term.name: term for term in found.terms}
    assert isinstance(terms["weights"].expected, Expected)
    for term in found.terms:
        assert term.seen.why if isinstance(term.seen, Unknown) else term.seen.source
        assert term.expected.why if isinstance(term.expected, Unknown) else term.expected.source
    assert isinstance(terms["decode"].seen, Unknown)
    assert reconciliation_document(found)["terms"]


def seen(found: Reconciliation) -> dict[str, float]:
    """Return the numbers that are seen."""
    return {term.name: term.seen.value for term in found.terms if isinstance(term.seen, Seen)}


def test_sglang_is_reconciled_by_its_own_figures(tmp_path: Path) -> None:
    """Weights, cache and graphs in GiB, tokens of the pool: reported, and not added to each other."""
    with sglang(folder(tmp_path)) as server:
        found = reconcile_server(server.url)
    told = seen(found)
    assert told["weights"] == 1.5 * (1 << 30)
    assert told["kv_cache"] == 2.25 * (1 << 30)
    assert told["graph"] == 0.5 * (1 << 30)
    assert told["kv_tokens"] == 60000
    qualities = {t.seen.quality for t in found.terms if isinstance(t.seen, Seen)}
    assert qualities <= {Quality.REPORTED, Quality.DERIVED}


def test_figures_of_one_rank_are_not_those_of_all(tmp_path: Path) -> None:
    """What one of two ranks tells is held against no sum; what ran and whose rules planned is said."""
    with sglang(folder(tmp_path), ranks=2) as server:
        found = reconcile_server(server.url)
    terms = {term.name: term for term in found.terms}
    assert terms["weights"].seen == Unknown("it tells that of one of its 2 devices")
    assert terms["kv_tokens"].seen != terms["weights"].seen
    assert (found.engine, found.planned_as) == ("sglang", "vllm")


def test_the_tokens_of_vllms_pool_are_seen(tmp_path: Path) -> None:
    """100 blocks of 16 tokens; the bytes of the pool are not told and stay unknown."""
    with vllm(folder(tmp_path)) as server:
        told = seen(reconcile_server(server.url))
    assert told["kv_tokens"] == 1600
    assert "kv_cache" not in told


def test_a_log_is_read_beside_the_address(tmp_path: Path) -> None:
    """llama.cpp tells its buffers in the log alone; a log of another engine, or none, is refused."""
    path = tmp_path / "tiny.gguf"
    path.write_bytes(tiny.gguf_file())
    props = {"default_generation_settings": {"n_ctx": 256, "params": {}}, "total_slots": 1,
             "model_path": str(path), "build_info": "b11549-abc"}  # fmt: skip
    models = {"object": "list", "data": [{"id": "tiny", "owned_by": "llamacpp", "meta": {"size": 1 << 20}}]}
    with LlamaServer(props, models) as server:
        without = seen(reconcile_server(server.url))
        told = seen(reconcile_server(server.url, log=LOG.format(path=path), options=["n_gpu_layers=0"]))
        for text in ("nothing that is known", "INFO vllm: Model loading took 1.5 GiB and 2 seconds\n"):
            with pytest.raises(UsageError):
                reconcile_server(server.url, log=text)
    assert without["weights"] == 1 << 20
    assert "kv_cache" not in without
    assert (told["kv_cache"], told["compute"]) == (2 << 20, 3 << 20)
    assert told["context"] == 256


def test_an_address_that_nobody_answers_is_said() -> None:
    """Nothing listens there: one sentence."""
    with pytest.raises(UnreachableError):
        reconcile_server("http://127.0.0.1:9")
