"""What reading a header over the network costs, and that every source gives the same plan."""

import json
import random
import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from hwledger.app import plan
from hwledger.errors import MalformedError, MissingError, UnreachableError
from hwledger.library.access import Access
from hwledger.library.source import open_model
from hwledger.model.spec import ModelSpec
from hwledger.planner.document import plan_document
from support import tiny
from support.hub import HubServer, Repo
from support.web import Asked, Reply, WebServer, parts_of

pytestmark = pytest.mark.enable_socket
VOCABULARY = 150_000


def large_header(*, scores: bool = False) -> bytes:
    """Return a GGUF whose tokenizer is as large as today's: tokens and merges that grow along the list."""
    dice = random.Random(1)  # noqa: S311 - a fixed sequence

    def token(index: int) -> str:
        return "t" * max(1, int(dice.gauss(3 + 5 * min(1, index / VOCABULARY), 2)))

    tokens = [token(index) for index in range(VOCABULARY)]
    return tiny.gguf_file(
        **{
            "tokenizer.ggml.model": "gpt2",
            "tokenizer.ggml.tokens": tokens,
            **({"tokenizer.ggml.scores": [0.0] * VOCABULARY} if scores else {}),
            "tokenizer.ggml.token_type": [1] * VOCABULARY,
            "tokenizer.ggml.merges": [f"{token(i)} {token(i)}" for i in range(VOCABULARY)],
            "tokenizer.chat_template": "x" * 9000,
        }
    )


@pytest.fixture
def hub() -> Iterator[ExitStack]:
    """Close the servers of a test at its end."""
    with ExitStack() as stack:
        yield stack


def started(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch, repos: dict[str, Repo], **options: float
) -> HubServer:
    """Start a hub of these repositories."""
    server = stack.enter_context(HubServer(repos, **options))  # type: ignore[arg-type]
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    return server


@pytest.mark.requirement("NFR-SRC-SPEED")
@pytest.mark.parametrize("scores", [False, True])
def test_a_large_tokenizer_costs_few_requests_and_little_memory(
    hub: ExitStack, monkeypatch: pytest.MonkeyPatch, *, scores: bool
) -> None:
    """A 150k-token header: at most 10 requests, 1.2 times its bytes and 30 MiB of memory."""
    raw = large_header(scores=scores)
    padded = raw + bytes(4 << 20)  # weights that must not be read
    server = started(hub, monkeypatch, {"o/large-GGUF": Repo({"large-F16.gguf": padded})})
    open_model("o/large-GGUF", access=Access())  # imports
    before, sent = server.requests, server.all_sent_bytes
    header = len(raw) - sum(t.stored_bytes or 0 for t in open_model("o/large-GGUF").tensors)
    tracemalloc.start()
    spec = open_model("o/large-GGUF", access=Access(refresh=True))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert spec.exact_tensors
    assert server.requests - before <= 10
    assert server.all_sent_bytes - sent <= 1.2 * header
    assert peak <= 30 << 20


@pytest.mark.requirement("NFR-SRC-SPEED")
def test_a_repository_of_160_shards_is_read_side_by_side(
    hub: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the list, the config, the index and each header are asked for, several at once."""
    files = tiny.plain()
    tensors = {f"model.layers.0.mlp.experts.{i}.up_proj.weight": ("BF16", (64, 64)) for i in range(1600)}
    server = started(hub, monkeypatch, {"o/shards": Repo({**files, **tiny.checkpoint(tensors, 160)})})  # type: ignore[arg-type]
    assert "model.safetensors" in files
    spec = open_model("o/shards", access=Access())
    assert len(spec.stored_tensors) == 1600
    headers = [asked for asked in server.asked if asked.path.endswith(".safetensors")]
    assert len(headers) == 160
    assert all("range" in asked.headers for asked in headers)
    assert server.requests == 1 + 1 + 1 + 160
    assert server.most_at_once > 4


FORMS = {
    "config": {"config.json": tiny.config()},
    "safetensors": tiny.plain(),
    "sharded safetensors": tiny.plain(3),
    "npz": tiny.npz(),
    "GGUF": {"tiny.gguf": tiny.gguf_file()},
    "split GGUF": {f"tiny-{i:05}-of-00003.gguf": raw for i, raw in enumerate(tiny.gguf_shards(3), 1)},
    "MLX": tiny.mlx(),
}
ENGINES = ("vllm", "llama.cpp", "mlx", "transformers")


def written(folder: Path, files: dict[str, bytes]) -> str:
    """Write files and return the reference to their model."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, raw in files.items():
        (folder / name).write_bytes(raw)
    ggufs = sorted(name for name in files if name.endswith(".gguf"))
    return str(folder / ggufs[0] if ggufs else folder)


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
    spec = open_model(written(tmp_path / "form", FORMS[form]))
    plain = open_model(written(tmp_path / "plain", FORMS["config"]))
    assert facts(spec) == facts(plain)
    for engine in ENGINES:
        one, other = (plan(model, engine=engine, context=1024, concurrency=2) for model in (spec, plain))
        for name in ("kv_cache", "state"):
            assert one.by_category[name] == other.by_category[name], (engine, name)  # type: ignore[index]


@pytest.mark.requirement("FR-SRC-SAME")
@pytest.mark.parametrize("form", FORMS)
def test_the_same_bytes_give_the_same_plan_from_everywhere(
    tmp_path: Path, hub: ExitStack, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """On disk, on the hub, in the hub's cache, on a web server: the whole plan is the same."""
    files = FORMS[form]
    local = written(tmp_path / "disk", files)
    server = started(hub, monkeypatch, {"o/r": Repo(files)}, large=2048)
    refs = {"hub": "o/r", "remembered": "o/r"}
    web = hub.enter_context(WebServer(lambda asked: _served(files, asked)))
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
    commit = server.repos["o/r"].commit
    written(cache / "models--o--r" / "snapshots" / commit, dict(files))
    assert _plan(f"o/r@{commit}", "vllm", offline=True) == _plan(local, "vllm")


def _plan(ref: str, engine: str, *, offline: bool = False) -> dict[str, object]:
    document = plan_document(plan(ref, engine=engine, context=512, access=Access(offline=offline)))
    model = document["model"]
    for key in ("id", "source", "revision", "reading"):
        model.pop(key)
    text = json.dumps(document)
    assert "model" in text
    for component in document["memory"]["components"]:
        component["source"] = ""
    return document


def _served(files: dict[str, bytes], asked: Asked) -> Reply:
    raw = files.get(asked.path.rpartition("/")[2])
    return Reply(404) if raw is None else parts_of(raw, asked)


@pytest.mark.requirement("FR-SRC-HTTP")
def test_a_split_gguf_on_a_web_server_is_found_part_by_part(hub: ExitStack) -> None:
    """The other parts are asked for by name with the same query; a missing one is named."""
    files = dict(FORMS["split GGUF"])
    server = hub.enter_context(WebServer(lambda asked: _served(files, asked)))
    url = f"{server.url}/a%20b/tiny-00001-of-00003.gguf?key=1"
    assert len(open_model(url).tensors) == len(tiny.gguf_tensors())
    assert all(asked.query == {"key": "1"} for asked in server.asked)
    del files["tiny-00003-of-00003.gguf"]
    with pytest.raises(
        MissingError, match=r"tiny-00003-of-00003\.gguf: this part of the split model is missing"
    ):
        open_model(url, access=Access(refresh=True))


@pytest.mark.requirement("FR-SRC-HTTP")
def test_a_secret_in_an_address_is_neither_shown_nor_kept(
    hub: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """User, password and query of an address stay out of what is printed and out of the cache's files."""
    monkeypatch.setenv("HWLEDGER_CACHE_DIR", str(tmp_path / "cache"))
    files = dict(FORMS["GGUF"])
    server = hub.enter_context(WebServer(lambda asked: _served(files, asked)))
    spec = open_model(f"{server.url.replace('//', '//me:hush1@')}/tiny.gguf?token=hush2")
    assert server.asked[0].headers["authorization"].startswith("Basic ")
    shown = f"{spec.source} {spec.reading} {spec.id} {spec.facts}"
    kept = b"".join(path.read_bytes() for path in (tmp_path / "cache").rglob("*.json"))
    assert kept
    assert "hush" not in shown
    assert b"hush" not in kept


@pytest.mark.requirement("NFR-SRC-SAFE")
def test_a_file_that_changes_while_it_is_read_is_refused(hub: ExitStack) -> None:
    """Parts of two versions never make one header."""
    raw = large_header()
    tags = iter(range(1000))
    server = hub.enter_context(WebServer(lambda asked: parts_of(raw, asked, ETag=f'"{next(tags)}"')))
    with pytest.raises(UnreachableError, match="changed while it was read"):
        open_model(f"{server.url}/large.gguf")


@pytest.mark.requirement("NFR-SRC-SAFE")
def test_a_header_without_an_end_is_stopped(hub: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that makes up a file of 2^50 bytes of strings is left after the bound, not after it."""
    monkeypatch.setattr("hwledger.library.net.remote_file.MOST_BYTES", 4 << 20)
    start = tiny.gguf_file(**{"tokenizer.ggml.tokens": ["a"] * 5000})
    at = start.index(b"tokenizer.ggml.tokens") + len(b"tokenizer.ggml.tokens") + 8
    start = start[:at] + (1 << 40).to_bytes(8, "little")
    text = (1).to_bytes(8, "little") + b"a"

    def endless(asked: Asked) -> Reply:
        first, _, last = asked.headers["range"].removeprefix("bytes=").partition("-")
        size, head = int(last) - int(first) + 1, b"" if int(first) else start[: at + 8]
        shift = (int(first) - at - 8) % len(text) if int(first) else 0
        body = (head + (text * (size // len(text) + 2))[shift:])[:size]
        return Reply(206, {"Content-Range": f"bytes {first}-{last}/{1 << 50}"}, body)

    server = hub.enter_context(WebServer(endless))
    with pytest.raises(MalformedError, match="goes on beyond"):
        open_model(f"{server.url}/endless.gguf")
    assert server.sent_bytes <= 16 << 20
