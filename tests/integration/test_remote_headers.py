"""What reading a header over the network costs, and that every source gives the same plan."""

import tracemalloc
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from hwledger.app import plan
from hwledger.errors import MalformedError, MissingError, UnreachableError
from hwledger.library.access import Access
from hwledger.library.net.remote_files import SIDE_BY_SIDE
from hwledger.library.source import open_model
from hwledger.model.spec import ModelSpec
from hwledger.planner.document import plan_document
from support import faults, tiny
from support.checkpoints import put, saved
from support.engine_servers import EngineServer, Vllm
from support.hub_cache import put_snapshot
from support.hub_repo import SHA, Repo
from support.hub_server import HubServer
from support.lmstudio import put_home
from support.ollama import put_model, shown_of
from support.web_server import Reply, Request, WebServer, file, ranged

pytestmark = pytest.mark.enable_socket


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Close the servers of a test at its end."""
    with ExitStack() as opened:
        yield opened


def started(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch, name: str, files: Mapping[str, bytes]
) -> HubServer:
    """Start a hub of one repository."""
    server = stack.enter_context(HubServer([Repo(name, files)]))
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    return server


def site(stack: ExitStack, files: Mapping[str, bytes], folder: str = "/x") -> WebServer:
    """Start a web server of files."""
    return stack.enter_context(WebServer({f"{folder}/{name}": file(raw) for name, raw in files.items()}))


@pytest.mark.requirement("NFR-SRC-SPEED")
@pytest.mark.parametrize("scores", [False, True])
def test_a_large_tokenizer_costs_few_requests_and_little_memory(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch, *, scores: bool
) -> None:
    """A 150k-token header: at most 10 requests, 1.2 times its bytes and 30 MiB of memory."""
    raw = tiny.large_gguf(scores=scores)
    padded = raw + bytes(4 << 20)  # weights that must not be read
    server = started(stack, monkeypatch, "o/large-GGUF", {"large-F16.gguf": padded})
    open_model("o/large-GGUF", access=Access())  # imports
    before, sent = server.all_requests, server.all_sent
    header = len(raw) - sum(t.stored_bytes or 0 for t in open_model("o/large-GGUF").tensors)
    tracemalloc.start()
    spec = open_model("o/large-GGUF", access=Access(refresh=True))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert spec.exact_tensors
    assert server.all_requests - before <= 10
    assert server.all_sent - sent <= 1.2 * header
    assert peak <= 30 << 20


@pytest.mark.requirement("NFR-SRC-SPEED")
def test_a_repository_of_160_shards_is_read_side_by_side(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the list, the config, the index and each header are asked for, so many headers at once."""
    files = {**tiny.plain(), **tiny.many_shards()}
    assert "model.safetensors" in files  # an older one, which the index does not name
    server = started(stack, monkeypatch, "o/shards", files)
    server.faults.append((r"\.safetensors$", SIDE_BY_SIDE, faults.together(SIDE_BY_SIDE)))
    spec = open_model("o/shards", access=Access())
    assert len(spec.stored_tensors) == 1600
    headers = [asked for asked in server.log if asked.path.endswith(".safetensors")]
    assert len({asked.path for asked in headers}) == len(headers) == len(server.cdn.log) == 160
    assert all(asked.range for asked in (*headers, *server.cdn.log))
    assert len(server.log) == 1 + 1 + 1 + 160
    assert server.most_at_once == SIDE_BY_SIDE


@pytest.mark.requirement("FR-SRC-HUB")
def test_an_address_that_expires_while_it_is_read_is_asked_for_anew(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signed address is good for several parts; once it is refused, the hub gives another one."""
    server = started(stack, monkeypatch, "o/large-GGUF", {"large-F16.gguf": tiny.large_gguf()})
    server.faults += [("xet-bridge", 1, faults.slow(0)), ("xet-bridge", 1, Reply(403))]
    assert open_model("o/large-GGUF").exact_tensors
    assert [asked.path.rpartition("/")[2] for asked in server.log[1:]] == ["large-F16.gguf"] * 2
    assert len({asked.range for asked in server.cdn.log}) == len(server.cdn.log) - 1 > 1


FORMS = tiny.forms()
ENGINES = ("vllm", "llama.cpp", "mlx", "transformers")


def facts(spec: ModelSpec) -> dict[str, object]:
    """Return what every form of a model knows."""
    census = spec.census
    return {
        "layers": [(layer.kind, layer.mixers) for layer in spec.layers],
        "total": census.total,
        "active": census.active,
        "hidden": spec.hidden_size,
        "vocabulary": spec.vocab_size,
        "context": spec.context_length,
        "tied": spec.tied_embeddings,
    }


@pytest.mark.requirement("FR-SRC-SAME")
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_model_agrees_on_what_all_know(tmp_path: Path, form: str) -> None:
    """Config, safetensors, GGUF, MLX and npz of one model give the same layers, counts and caches."""
    spec = open_model(saved(tmp_path / "form", FORMS[form]))
    plain = open_model(saved(tmp_path / "plain", FORMS["config"]))
    assert facts(spec) == facts(plain)
    assert (spec.census.total, len(spec.layers)) == (tiny.PARAMETERS, tiny.LAYERS)
    for engine in ENGINES:
        one, other = (plan(model, engine=engine, context=1024, concurrency=2) for model in (spec, plain))
        for name in ("kv_cache", "state"):
            assert one.by_category[name] == other.by_category[name], (engine, name)  # type: ignore[index]


@pytest.mark.requirement("FR-SRC-SAME")
@pytest.mark.parametrize("form", FORMS)
def test_the_same_bytes_give_the_same_plan_from_everywhere(
    tmp_path: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """On disk, on the hub, in the hub's cache, on a web server: the whole plan is the same."""
    files = FORMS[form]
    local = saved(tmp_path / "disk", files)
    started(stack, monkeypatch, "o/r", files)
    refs = {"hub": "o/r", "remembered": "o/r"}
    web = site(stack, files)
    if any(name.endswith(".gguf") for name in files):
        refs["web"] = f"{web.url}/x/{min(files)}"
    elif form == "config":
        refs["web"] = f"{web.url}/x/config.json"
    for place, ref in refs.items():
        for engine in ENGINES:
            assert _plan(ref, engine) == _plan(local, engine), (place, engine)
    cache = tmp_path / "cache"
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    monkeypatch.setenv("HWLEDGER_CACHE_DIR", str(tmp_path / "empty"))
    put_snapshot(cache, "o/r", files, SHA)
    assert _plan(f"o/r@{SHA}", "vllm", offline=True) == _plan(local, "vllm")


@pytest.mark.requirement("FR-SRC-SAME")
@pytest.mark.parametrize("form", FORMS)
def test_the_same_bytes_give_the_same_plan_in_every_program(
    tmp_path: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """In LM Studio's folder, in Ollama's store, behind Ollama's server and behind a running engine."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "ollama"))
    monkeypatch.setenv("LMSTUDIO_BASE_URL", "127.0.0.1:9")
    files = FORMS[form]
    local = saved(tmp_path / "disk", files)
    refs = {}
    if form != "config":  # LM Studio lists weights
        put(put_home(tmp_path) / "maker" / "tiny", files)
        refs["LM Studio"] = "lmstudio:maker/tiny"
    if form == "GGUF":
        put_model(tmp_path / "ollama", "registry.ollama.ai/library/tiny/1b", [("model", tiny.gguf_file())])
        refs["Ollama"] = "ollama:tiny:1b"
    served = stack.enter_context(Vllm())
    served.answers["/v1/models"]["data"][0]["root"] = local
    refs["engine"] = served.url
    for place, ref in refs.items():
        for engine in ENGINES:
            assert _document(open_model(ref), engine) == _plan(local, engine), (place, engine)


@pytest.mark.requirement("FR-SRC-SAME")
def test_what_ollamas_server_says_plans_like_the_file(
    tmp_path: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that lists tensors knows what the file knows, for every engine."""
    local = saved(tmp_path, FORMS["GGUF"])
    shown = shown_of(open_model(local).metadata)
    server = stack.enter_context(EngineServer({"/api/tags": {"models": []}, "/api/show": shown}))
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "none"))
    monkeypatch.setenv("OLLAMA_HOST", server.url)
    spec = open_model("ollama:tiny:1b")
    for engine in ENGINES:
        assert _document(spec, engine)["memory"] == _plan(local, engine)["memory"]


def _plan(ref: str, engine: str, *, offline: bool = False) -> dict[str, object]:
    return _document(open_model(ref, access=Access(offline=offline)), engine)


def _document(spec: ModelSpec, engine: str) -> dict[str, object]:
    document = plan_document(plan(spec, engine=engine, context=512))
    model = document["model"]
    for key in ("id", "source", "revision", "reading"):
        model.pop(key)
    for component in document["memory"]["components"]:
        component["source"] = ""
    return document


@pytest.mark.requirement("FR-SRC-HTTP")
def test_a_split_gguf_on_a_web_server_is_found_part_by_part(stack: ExitStack) -> None:
    """The other parts are asked for by name with the same query; a missing one is named."""
    server = site(stack, tiny.gguf_shards("m"), "/a b")
    url = f"{server.url}/a%20b/m-00001-of-00003.gguf?key=1"
    assert len(open_model(url).tensors) == len(tiny.gguf_tensors())
    assert {asked.target for asked in server.log} == {
        f"/a%20b/m-0000{part}-of-00003.gguf?key=1" for part in (1, 2, 3)
    }
    del server.routes["/a b/m-00003-of-00003.gguf"]
    with pytest.raises(MissingError, match=r"m-00003-of-00003\.gguf: this part .* is missing"):
        open_model(url, access=Access(refresh=True))


@pytest.mark.requirement("FR-SRC-HTTP")
def test_a_secret_in_an_address_is_neither_shown_nor_kept(
    stack: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """User, password and query of an address stay out of what is printed and out of the cache's files."""
    monkeypatch.setenv("HWLEDGER_CACHE_DIR", str(tmp_path / "cache"))
    server = site(stack, {"tiny.gguf": tiny.gguf_file()})
    spec = open_model(f"{server.url.replace('//', '//me:hush1@')}/x/tiny.gguf?token=hush2")
    assert str(server.log[0].authorization).startswith("Basic ")
    shown = f"{spec.source} {spec.reading} {spec.id} {spec.facts}"
    kept = b"".join(path.read_bytes() for path in (tmp_path / "cache").rglob("*.json"))
    assert kept
    assert "hush" not in shown
    assert b"hush" not in kept


@pytest.mark.requirement("NFR-SRC-SAFE")
def test_a_file_that_changes_while_it_is_read_is_refused(stack: ExitStack) -> None:
    """Parts of two versions never make one header."""
    raw, version = tiny.large_gguf(), count()

    def changing(request: Request) -> Reply:
        return ranged(raw, request, {"ETag": f'"{next(version)}"'})

    server = stack.enter_context(WebServer({"/large.gguf": changing}))
    with pytest.raises(UnreachableError, match="changed while it was read"):
        open_model(f"{server.url}/large.gguf")


@pytest.mark.requirement("NFR-SRC-SAFE")
def test_a_header_without_an_end_is_stopped(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that makes up a file of 2^50 bytes of strings is left after the bound, not after it."""
    monkeypatch.setattr("hwledger.library.net.remote_file.MOST_BYTES", 4 << 20)
    start = tiny.gguf_file(**{"tokenizer.ggml.tokens": ["a"] * 5000})
    at = start.index(b"tokenizer.ggml.tokens") + len(b"tokenizer.ggml.tokens") + 8
    start = start[:at] + (1 << 40).to_bytes(8, "little")
    text = (1).to_bytes(8, "little") + b"a"

    def endless(asked: Request) -> Reply:
        first, _, last = str(asked.range).removeprefix("bytes=").partition("-")
        size, head = int(last) - int(first) + 1, b"" if int(first) else start[: at + 8]
        shift = (int(first) - at - 8) % len(text) if int(first) else 0
        body = (head + (text * (size // len(text) + 2))[shift:])[:size]
        return Reply(206, {"Content-Range": f"bytes {first}-{last}/{1 << 50}"}, body)

    server = stack.enter_context(WebServer({"/endless.gguf": endless}))
    with pytest.raises(MalformedError, match="goes on beyond"):
        open_model(f"{server.url}/endless.gguf")
    assert server.sent <= 16 << 20
