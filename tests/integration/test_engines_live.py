"""Engines on loopback, watched: several at once, one that hangs, one that talks nonsense, one that ends."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from hwledger.telemetry.collector import Collector
from hwledger.telemetry.engines.live.places import Sight
from hwledger.telemetry.engines.live.processes import Listening, Running
from hwledger.telemetry.engines.live.sampler import EnginesSampler
from hwledger.telemetry.engines.live.sampler import sampler as entry_point
from hwledger.telemetry.engines.values import engine_values
from hwledger.telemetry.quantity import Quantity
from hwledger.telemetry.reading import Absent, Basis, Reading, Reason, Value
from hwledger.telemetry.sampler import Sampler
from hwledger.telemetry.snapshot import EngineSnapshot
from hwledger.telemetry.system import System
from support.engine_servers import (
    EngineServer,
    LlamaRouter,
    LlamaServer,
    LmStudio,
    MistralRs,
    Ollama,
    Sglang,
    Tgi,
    Vllm,
)
from support.web_server import Reply, Request, WebServer

pytestmark = [pytest.mark.enable_socket, pytest.mark.requirement("FR-TEL-ENGINES")]
PROPS = {
    "default_generation_settings": {"n_ctx": 512, "params": {}}, "total_slots": 2, "model_path": "/m/x.gguf",
    "build_info": "b7100-abc", "model_ftype": "Q4_1",
}  # fmt: skip
CARDS = {
    "object": "list",
    "data": [{"id": "tiny", "object": "model", "owned_by": "llamacpp", "meta": {"size": 99, "n_params": 5}}],
}
ROW = {"name": "tiny:1b", "size": 90, "size_vram": 80, "context_length": 512}
LOADED = {"id": "q", "type": "llm", "publisher": "p", "state": "loaded", "compatibility_type": "gguf",
          "loaded_context_length": 100}  # fmt: skip
NOWHERE = Sight(list, lambda *_, **__: [])


class Clock:
    """A clock that stands until it is set forward."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def vllm_page(generated: float) -> str:
    """A page of vLLM."""
    names = '{engine="0",model_name="served"}'
    return (
        f"vllm:num_requests_running{names} 2.0\nvllm:generation_tokens_total{names} {generated}\n"
        f'vllm:kv_cache_usage_perc{names} 0.25\nvllm:cache_config_info{{kv_cache_size_tokens="4096"}} 1.0\n'
    )


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Servers that end with the test."""
    with ExitStack() as servers:
        yield servers


def watching(
    stack: ExitStack, *servers: WebServer, clock: Callable[[], float] | None = None, sight: Sight = NOWHERE,
    limit_s: float = 10.0, given: str | None = None,
) -> EnginesSampler:  # fmt: skip
    """Start servers and return a source that is told of them, or of ``given``."""
    for server in servers:
        stack.enter_context(server)
    told = ",".join(server.url for server in servers) if given is None else given
    environ = {"HWLEDGER_ENGINES": told, "HWLEDGER_SERVER_KEY": "secret"}
    system = System(environ=environ, clock=clock or Clock())
    source = EnginesSampler(system, sight, limit_s)
    stack.callback(source.close)
    return source


def value(reading: Reading) -> object:
    """Return a value; fails on a reason."""
    assert isinstance(reading, Value), reading
    return reading.value


def absent(reading: Reading) -> Absent:
    """Return a reason; fails on a value."""
    assert isinstance(reading, Absent), reading
    return reading


def by_engine(source: EnginesSampler, *, processes: bool = True) -> dict[str, EngineSnapshot]:
    """Return what is seen, by engine."""
    return {engine.engine: engine for engine in source.sample(processes=processes).engines}


def test_every_engine_is_known_and_tells_what_it_can(stack: ExitStack) -> None:
    """Eight engines at once: each identified, its model read, and what it cannot tell said by name."""
    mlx = EngineServer({
        "/v1/models": {"object": "list", "data": [{"id": "org/m", "object": "model", "created": 1}]},
        "/health": {"status": "ok"},
    })  # fmt: skip
    vllm = Vllm(vllm_page(100))
    source = watching(
        stack, vllm, Sglang(), Tgi(), LlamaServer(PROPS, CARDS), Ollama({"models": [ROW]}),
        LmStudio(v0={"data": [LOADED]}), MistralRs(), mlx,
    )  # fmt: skip
    found = by_engine(source)
    assert set(found) == set(engine_values())
    assert value(found["vllm"]["kv_cache_tokens"]) == 4096
    assert value(found["vllm"]["requests_running"]) == 2
    assert found["vllm"].version == "0.11.0"
    assert value(found["vllm"].models[0]["context"]) == 4096
    assert value(found["sglang"]["kv_cache_tokens"]) == 60000
    assert value(found["tgi"]["context"]) == 4096
    assert value(found["llama.cpp"].models[0]["weights_bytes"]) == 99
    assert value(found["llama.cpp"].models[0]["quantisation"]) == "Q4_1"
    assert value(found["ollama"].models[0]["model_device_bytes"]) == 80
    assert value(found["lmstudio"].models[0]["context"]) == 100
    assert found["mistral.rs"].models[0].loaded
    for name, engine in found.items():
        for quantity, cell in engine_values()[name].items():
            if quantity in engine.readings and isinstance(engine.readings[quantity], Value):
                assert cell.live, (name, quantity)
    assert absent(found["ollama"]["requests_running"]).detail == "Ollama counts no requests"
    assert "--metrics" in absent(found["llama.cpp"]["generated_tokens"]).detail


def test_the_second_look_asks_little_and_never_changes_anything(stack: ExitStack) -> None:
    """After the first, one or two questions for each engine; all are GET; paths that had nothing rest."""
    servers = [
        Vllm(vllm_page(1)), Tgi(), LlamaServer(PROPS, CARDS), Ollama({"models": [ROW]}),
        LmStudio(v0={"data": [LOADED]}),
    ]  # fmt: skip
    source = watching(stack, *servers)
    source.sample(processes=True)
    assert {asked.method for server in servers for asked in server.log} == {"GET"}
    for server in servers:
        server.forget()
    source.sample(processes=False)
    asked = [[request.path for request in server.log] for server in servers]
    assert asked == [["/metrics"], [], ["/props"], ["/api/ps"], ["/api/v0/models"]]


def test_a_rate_follows_from_two_looks(stack: ExitStack) -> None:
    """The first look says that it is the first; the second has tokens per second."""
    counted = iter([100.0, 300.0, 10.0])
    server, clock = Vllm(), Clock()
    server.answers["/metrics"] = lambda _: vllm_page(next(counted))
    source = watching(stack, server, clock=clock)
    assert "first" in absent(by_engine(source)["vllm"]["decode_speed"]).detail
    clock.now += 4
    speed = by_engine(source, processes=False)["vllm"]["decode_speed"]
    assert isinstance(speed, Value)
    assert (speed.value, speed.basis) == (50.0, Basis.DERIVED)
    clock.now += 4
    assert "anew" in absent(by_engine(source, processes=False)["vllm"]["decode_speed"]).detail


def test_running_requests_of_llama_cpp_count(stack: ExitStack) -> None:
    """Its page counts tokens when a request ends; those of running ones come from its slots."""
    decoded = iter([5, 45])
    slots = lambda _: [{"id": 0, "id_task": 3, "n_ctx": 512, "is_processing": True,  # noqa: E731 - a reply
                        "next_token": [{"n_decoded": next(decoded)}]}]  # fmt: skip
    server, clock = LlamaServer(PROPS, CARDS), Clock()
    page = "llamacpp:tokens_predicted_total 1000\nllamacpp:requests_processing 1\n"
    server.answers |= {"/slots": slots, "/metrics": page}
    source = watching(stack, server, clock=clock)
    assert value(by_engine(source)["llama.cpp"]["generated_tokens"]) == 1005
    clock.now += 2
    engine = by_engine(source, processes=False)["llama.cpp"]
    assert value(engine["generated_tokens"]) == 1045
    assert value(engine["decode_speed"]) == 20.0


def test_an_engine_that_hangs_holds_up_no_other_and_turns_stale(stack: ExitStack) -> None:
    """Its last values are kept as stale; the others are told as ever; later it is told anew."""
    hung, well = Vllm(vllm_page(1)), Tgi()
    release = threading.Event()
    stack.callback(release.set)
    source = watching(stack, hung, well, limit_s=1.0)
    assert value(by_engine(source)["vllm"]["requests_running"]) == 2

    def hanging(_: Request) -> str:
        release.wait(30)
        return vllm_page(2)

    hung.answers["/metrics"] = hanging
    found = by_engine(source, processes=False)
    late = absent(found["vllm"]["requests_running"])
    assert late.reason is Reason.STALE
    assert late.last is not None
    assert late.last.value == 2
    assert value(found["tgi"]["context"]) == 4096
    release.set()
    assert value(by_engine(source, processes=False)["vllm"]["requests_running"]) == 2


def test_an_engine_that_hangs_at_one_question_is_not_said_to_lack_the_answer(stack: ExitStack) -> None:
    """Its models are told and its page does not come: it is late, and shows a page when it comes again."""
    server = Vllm(vllm_page(1))
    release = threading.Event()
    stack.callback(release.set)

    def hanging(_: Request) -> str:
        release.wait(30)
        return vllm_page(2)

    server.answers["/metrics"] = hanging
    source = watching(stack, server, limit_s=1.0)
    sample = source.sample(processes=True)
    assert sample.engines == ()
    assert "did not answer /metrics" in sample.troubles[0]
    release.set()
    assert value(by_engine(source, processes=False)["vllm"]["requests_running"]) == 2


def test_another_engine_at_the_same_address_is_known_for_what_it_is(stack: ExitStack) -> None:
    """It was replaced between two looks: found out when models are asked for again."""
    server, other, clock = Vllm(vllm_page(1)), stack.enter_context(Tgi()), Clock()
    source = watching(stack, server, clock=clock)
    assert set(by_engine(source)) == {"vllm"}
    server.answers = other.answers
    clock.now += 31
    assert set(by_engine(source, processes=False)) == {"tgi"}


def test_a_look_that_does_not_end_is_waited_for_no_longer(stack: ExitStack) -> None:
    """A name that is not resolved: the others are told, and what it said ages and turns stale."""
    slow, well, clock = Vllm(vllm_page(1)), Tgi(), Clock()
    source = watching(stack, slow, well, clock=clock)
    by_engine(source)
    release = threading.Event()
    stack.callback(release.set)

    def hanging(_: Request) -> str:
        release.wait(30)
        return vllm_page(2)

    slow.answers["/metrics"] = hanging
    source._limit_s = 0.2  # of the waiting alone
    found = by_engine(source, processes=False)
    assert value(found["vllm"]["requests_running"]) == 2
    assert value(found["tgi"]["context"]) == 4096
    clock.now += 11
    assert absent(by_engine(source, processes=False)["vllm"]["requests_running"]).reason is Reason.STALE


def test_nonsense_and_other_services_are_no_engines(stack: ExitStack) -> None:
    """A page of the web, bytes that are no HTTP, endless JSON: no engine, a sentence each, nothing raised."""
    junk = EngineServer(
        {path: Reply(200, {}, b"\xff\x00{[" * 50) for path in ("/v1/models", "/metrics", "/props")}
    )
    web = EngineServer({})
    web.elsewhere = Reply(200, {"Content-Type": "text/html"}, b"<html>hello</html>")
    deep = EngineServer({"/v1/models": Reply(200, {}, b"[" * 200_000)})
    away = EngineServer({})
    away.elsewhere = Reply(302, {"Location": "http://192.0.2.1/"})
    sample = watching(stack, junk, web, deep, away).sample(processes=True)
    assert sample.engines == ()
    assert len(sample.troubles) == 4
    assert all("no engine" in trouble for trouble in sample.troubles)


def test_an_engine_with_damaged_answers_keeps_what_is_whole(stack: ExitStack) -> None:
    """A page with broken lines, models of the wrong kind."""
    server = Vllm(vllm_page(5) + "\x00\nvllm:num_requests_waiting{engine= 7\n")
    source = watching(stack, server)
    assert value(by_engine(source)["vllm"]["generated_tokens"]) == 5
    server.answers["/metrics"] = Reply(200, {}, b"\xff" * 2000)
    assert "metrics" in absent(by_engine(source, processes=False)["vllm"]["requests_running"]).detail


def test_an_engine_that_ended_is_gone_and_another_takes_its_place(stack: ExitStack) -> None:
    """Nothing listens: no engine, and a sentence where the user named the address."""
    with Vllm(vllm_page(1)) as server:
        source = watching(stack, given=server.url)
        assert set(by_engine(source)) == {"vllm"}
    sample = source.sample(processes=False)
    assert sample.engines == ()
    assert "nothing listens" in sample.troubles[0]


def test_no_proxy_stands_between(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the environment is for the network, not for programs of this machine."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert set(by_engine(watching(stack, Tgi()))) == {"tgi"}


def seen_at(server: WebServer, words: tuple[str, ...]) -> Sight:
    """A machine on which a process listens where a server does."""
    port = int(server.url.rpartition(":")[2])
    return Sight(lambda: [Running(7, 1, words)], lambda *_, **__: [Listening("0.0.0.0", port, 7)])  # noqa: S104 - where it listens


def test_an_engine_is_found_by_its_process_and_sees_no_key(stack: ExitStack) -> None:
    """Found by its command line, told with its pid; the key is for addresses that the user named."""
    server = Vllm(vllm_page(1), key="secret")
    source = watching(stack, server, given="", sight=seen_at(server, ("vllm", "serve", "org/m")))
    engine = by_engine(source)["vllm"]
    assert (engine.pid, engine.address) == (7, server.url)
    refused = absent(engine["requests_running"])
    assert refused.reason is Reason.NO_PERMISSION
    assert "HWLEDGER_ENGINES" in refused.detail
    assert not any(asked.authorization for asked in server.log)
    named = watching(stack, given=server.url)
    assert value(by_engine(named)["vllm"]["requests_running"]) == 2


def test_an_engine_that_loads_is_known_by_its_process(stack: ExitStack) -> None:
    """llama.cpp answers 503 while it loads: it is there, and has nothing to tell yet."""
    loading = LlamaServer(PROPS, CARDS)
    busy = Reply(503, {}, b'{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}')
    loading.answers = dict.fromkeys(loading.answers, busy)
    sight = seen_at(loading, ("llama-server", "-m", "x.gguf"))
    engine = by_engine(watching(stack, loading, given="", sight=sight))["llama.cpp"]
    assert absent(engine["requests_running"]).reason is Reason.STALE


def test_a_sleeping_model_is_left_asleep(stack: ExitStack) -> None:
    """Neither slots nor metrics of a server whose model sleeps are asked for, nor slots of one that may."""
    server = LlamaServer({**PROPS, "is_sleeping": True}, CARDS)
    sight = seen_at(server, ("llama-server", "--sleep-idle-seconds", "60"))
    source = watching(stack, server, given="", sight=sight)
    (model,) = by_engine(source)["llama.cpp"].models
    assert model.loaded is False
    assert Quantity.WEIGHTS_BYTES not in model.readings
    server.answers["/props"] = {**PROPS, "is_sleeping": False}
    engine = by_engine(source, processes=False)["llama.cpp"]
    assert any("going to sleep" in note for note in engine.notes)
    assert "/slots" not in {asked.path for asked in server.log}


def test_a_router_loads_nothing_for_us(stack: ExitStack) -> None:
    """Only what is loaded is asked for, and never so that it would be loaded."""
    router = LlamaRouter({"org/a": PROPS}, ("org/b",))
    engine = by_engine(watching(stack, router))["llama.cpp"]
    assert {model.name: model.loaded for model in engine.models} == {"org/a": True, "org/b": False}
    loaded = next(model for model in engine.models if model.loaded)
    assert value(loaded["context"]) == 512
    routed = [asked for asked in router.log if asked.first("model")]
    assert routed
    assert all(asked.first("autoload") == "false" and asked.first("model") == "org/a" for asked in routed)


def test_the_check_names_what_was_found(stack: ExitStack) -> None:
    """It works with and without engines, and says how others are named."""
    found = watching(stack, Tgi()).check()
    assert found.works
    assert "TGI at http://127.0.0.1" in found.found
    none = watching(stack, given="no address").check()
    assert none.works
    assert "HWLEDGER_ENGINES" in none.remedy


def test_the_collector_takes_it_as_any_source(stack: ExitStack) -> None:
    """The entry point satisfies the port, and its engines come into the snapshot."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - of this test

    (point,) = entry_points(group="hwledger.samplers", name="engines")
    assert point.load() is entry_point
    source: Any = watching(stack, Tgi())
    assert isinstance(entry_point(System()), Sampler)
    with Collector([source]) as collector:
        assert collector.wait(20)
        (engine,) = collector.snapshot().engines
    assert engine.engine == "tgi"
