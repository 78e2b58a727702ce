"""Asking llama.cpp itself what it would allocate: real libllama, real and hollow headers, every refusal."""

import json
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from hwledger.app import open_model, plan
from hwledger.asking import ask_engine
from hwledger.cli import run as call
from hwledger.errors import EngineError, UsageError
from hwledger.library.access import Access
from hwledger.library.hollow import hollow_model
from hwledger.planner.document import schema
from hwledger.planner.memory import HOST, Category
from hwledger.reconcile.asked import Asked, Holding, asked_terms
from hwledger.reconcile.term import Seen, Unknown
from hwledger.runner.asking import ask_llama_cpp, check_can_ask
from support import tiny
from support.children import children
from support.engines import needs
from support.hub_repo import Repo
from support.hub_server import HubServer
from support.web_server import WebServer, file

pytestmark = [pytest.mark.enable_socket, pytest.mark.requirement("FR-RUN-ASK")]
ON_HOST = ("n_gpu_layers=0",)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Close the servers of a test at its end."""
    with ExitStack() as opened:
        yield opened


def figures(asked: Asked) -> dict[str, tuple[float | None, bool | None]]:
    """Return difference and verdict of each term."""
    return {term.name: (term.difference, term.inside) for term in asked.terms}


@pytest.mark.parametrize(
    "options",
    [
        (), ("flash_attn=off",), ("n_parallel=4",), ("n_parallel=4", "kv_unified=on"), ("n_ubatch=64",),
        ("cache_type_k=q8_0", "cache_type_v=q8_0"), ("n_ctx=8192",),
    ],
)  # fmt: skip
def test_a_real_model_is_as_planned(smollm: Path, options: tuple[str, ...]) -> None:
    """Under several settings: weights and cache to the byte, compute inside its interval."""
    needs("xllamacpp")
    made = plan(str(smollm), context=1024, options=[*ON_HOST, *options])
    found = figures(ask_engine(made, str(smollm)))
    assert found["weights (host)"] == (0, True)
    assert found["cache (host)"] == (0, True)
    assert found["compute (host)"][1] is True
    assert found["output (host)"] == (None, None)  # it says nothing of that
    assert not children()


def test_a_header_on_a_server_is_enough(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch, smollm: Path
) -> None:
    """Of a web server and of the hub: the same answer as of the file, and no weights are sent."""
    needs("xllamacpp")
    raw = smollm.read_bytes()
    web = stack.enter_context(WebServer({"/x/smol.gguf": file(raw)}))
    hub = stack.enter_context(HubServer([Repo("o/smol-GGUF", {"smol-Q4_1.gguf": raw})]))
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    answers = []
    for ref in (str(smollm), f"{web.url}/x/smol.gguf", "o/smol-GGUF"):
        asked = ask_engine(plan(ref, context=512, options=ON_HOST), ref)
        answers.append([dict(each.sizes) for each in asked.holdings])
    assert answers[0] == answers[1] == answers[2]
    assert web.sent < len(raw) / 10
    assert hub.all_sent < len(raw) / 10


def test_a_hollow_copy_is_the_header_and_its_length(smollm: Path, tmp_path: Path) -> None:
    """It takes as much disk as the header does, and is as long as the model."""
    made = hollow_model(open_model(str(smollm)), str(smollm), Access(), tmp_path)
    there, here = smollm.stat(), made.stat()
    assert here.st_size == there.st_size
    assert here.st_blocks * 512 < there.st_size / 10
    assert stat.S_ISREG(here.st_mode)


def test_what_was_planned_for_other_devices_is_asked_for_the_host(smollm: Path) -> None:
    """A build for the processor says nothing of a card: asked and planned for the host, and that is said."""
    needs("xllamacpp")
    asked = ask_engine(plan(str(smollm), context=512, device="RTX 4090"), str(smollm))
    assert not asked.plan.request.devices
    assert any("cannot say what RTX 4090 takes" in note for note in asked.notes)
    assert all(inside is not False for _, inside in figures(asked).values())


def test_it_stands_beside_the_plan(smollm: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """On paper with the difference; in JSON as components whose basis is measured, by the schema."""
    needs("xllamacpp")
    words = ["plan", str(smollm), "--context", "512", "--option", "n_gpu_layers=0", "--ask-engine"]
    assert call(words) == 0
    text = capfd.readouterr().out
    assert "itself would allocate" in text
    assert "as planned" in text
    assert call([*words, "--json"]) == 0
    document: dict[str, Any] = json.loads(capfd.readouterr().out)
    Draft202012Validator(schema("hwledger.plan/1")).validate(document)
    asked = document["asked"]
    assert {each["basis"] for each in asked["components"]} == {"measured"}
    assert asked["planned_bytes"] == document["memory"]["total_bytes"]
    assert asked["total_bytes"] == sum(each["bytes"] for each in asked["components"])


@pytest.mark.parametrize(
    ("key", "value"), [("attention.head_count", 0), ("block_count", 7), ("embedding_length", 65)]
)
def test_a_header_that_contradicts_itself_is_one_sentence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], key: str, value: int
) -> None:
    """Whatever libllama does about it, refuse, assert or abort: a sentence, and no child is left."""
    needs("xllamacpp")
    good = tmp_path / "good.gguf"
    good.write_bytes(tiny.gguf_file())
    made = plan(str(good), context=128, options=ON_HOST)
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(tiny.gguf_file(**{f"llama.{key}": value}))
    with pytest.raises(EngineError, match="cannot plan this header"):
        ask_llama_cpp(made, bad, tmp_path)
    assert not children()
    assert capfd.readouterr().out == ""


def test_it_is_ended_when_its_time_is_up(smollm: Path, tmp_path: Path) -> None:
    """A limit of nothing: one sentence, and the child is gone."""
    needs("xllamacpp")
    made = plan(str(smollm), context=512, options=ON_HOST)
    with pytest.raises(EngineError, match="did not say within"):
        ask_llama_cpp(made, smollm, tmp_path, limit_s=0.0)
    assert not children()


def test_an_engine_that_cannot_be_asked_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each engine of the planner is in the table; what is not installed comes with its command."""
    for engine in ("vllm", "mlx", "transformers"):
        with pytest.raises(UsageError, match=r"cannot be asked without running it: .+"):
            check_can_ask(engine)
    monkeypatch.setattr("hwledger.runner.asking.find_spec", lambda _: None)
    with pytest.raises(EngineError, match=r"pip install 'hwledger\[llamacpp\]'"):
        check_can_ask("llama.cpp")


@pytest.mark.parametrize("more", [("--export", "llama.cpp"), ("--solve", "context")])
def test_only_one_plan_is_asked_for(more: tuple[str, ...]) -> None:
    """A search and an export refuse it."""
    assert call(["plan", "Qwen/Qwen3-32B", "--engine", "llama.cpp", *more, "--ask-engine"]) == 2


def test_a_model_without_a_header_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    """A config of the catalogue is no GGUF file: what to name instead is said."""
    needs("xllamacpp")
    assert call(["plan", "Qwen/Qwen3-32B", "--engine", "llama.cpp", "--ask-engine"]) == 2
    assert "name a GGUF file" in capfd.readouterr().err


def test_places_are_held_against_their_own(tmp_path: Path) -> None:
    """Two devices and the host: each kind beside its own place; what one side lacks has a reason."""
    path = tmp_path / "tiny.gguf"
    path.write_bytes(tiny.gguf_file())
    made = plan(str(path), context=256, device="2x RTX 4090", options=["n_gpu_layers=99"])
    weights = {p: sum(c.size_bytes for c in made.memory.components
                      if c.place == p and c.category is Category.WEIGHTS) for p in (0, 1, HOST)}  # fmt: skip
    holdings = [
        Holding(0, "CUDA0", {"weights": weights[0], "cache": 5, "compute": 0}),
        Holding(1, "CUDA1", {"weights": weights[1] + 7}),
        Holding(HOST, "host", {"weights": weights[HOST]}),
    ]
    terms = {term.name: term for term in asked_terms(made, holdings, "a test")}
    assert terms["weights (CUDA0)"].difference == 0
    assert terms["weights (CUDA1)"].difference == 7
    assert terms["weights (CUDA1)"].inside is False
    assert terms["weights (host)"].difference == 0
    assert isinstance(terms["cache (CUDA0)"].seen, Seen)
    assert isinstance(terms["compute (CUDA1)"].seen, Unknown)
    assert isinstance(terms["runtime (CUDA0)"].seen, Unknown)
