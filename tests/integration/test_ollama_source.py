"""Models of Ollama: from its store on disk and from its server on loopback."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwledger.device.catalogue import parse_devices
from hwledger.errors import HwledgerError, InputError, MalformedError, MissingError, UnreachableError
from hwledger.library.access import Access
from hwledger.library.ollama import store as stores
from hwledger.library.ollama.running import deployment
from hwledger.library.source import open_model
from hwledger.library.sources.ollama import OllamaSource
from hwledger.planner.fit import Verdict
from hwledger.planner.plan import plan as plan_spec
from hwledger.screens.plan import plan_screen
from support import tiny
from support.checkpoints import put
from support.engine_servers import EngineServer
from support.mutations import mutated
from support.ollama import from_json5, put_manifest, put_model, shown_of
from support.web_server import Request

pytestmark = [pytest.mark.enable_socket, pytest.mark.requirement("FR-SRC-OLLAMA")]
NOBODY = "127.0.0.1:9"
TINY = "registry.ollama.ai/library/tiny/1b"


@pytest.fixture(autouse=True)
def nothing_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Show every test an empty store and no server."""
    for name in [name for name in os.environ if name.startswith("OLLAMA_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OLLAMA_HOST", NOBODY)
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "models"))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a store with one model."""
    folder = tmp_path / "models"
    layers = [("model", tiny.gguf_file()), ("template", b"{{ .Prompt }}"), ("params", b'{"num_ctx": 3072}')]
    put_model(folder, TINY, layers, {"model_type": "1.0B", "file_type": "F16"})
    return folder


@pytest.fixture
def recorded(shared_data: Path) -> dict[str, Any]:
    """Return what a server says, as recorded, with a model that all answers know."""
    folder = shared_data / "telemetry_samples" / "engines" / "ollama"
    show = from_json5((folder / "api-show-doc.json5").read_text())
    ps, tags = (json.loads((folder / f"api-{name}-doc.json").read_text()) for name in ("ps", "tags"))
    tags["models"][1]["name"] = ps["models"][0]["name"] = "llama3:8b"
    return {"/api/version": {"version": "0.33.0"}, "/api/tags": tags, "/api/ps": ps, "/api/show": show}


def test_a_blob_gives_the_plan_of_the_file_itself(store: Path, tmp_path: Path) -> None:
    """The same bytes give the same plan from the store and as a .gguf file."""
    (tmp_path / "tiny.gguf").write_bytes(tiny.gguf_file())
    spec, plain = open_model("ollama:tiny:1b"), open_model(str(tmp_path / "tiny.gguf"))
    assert (spec.layers, spec.tensors, spec.vocab_size) == (plain.layers, plain.tensors, plain.vocab_size)
    ours, theirs = (plan_spec(each, engine="llama.cpp") for each in (spec, plain))
    assert ours.memory.components == theirs.memory.components
    assert spec.source == "ollama:tiny:1b"
    assert spec.reading
    assert str(store / "blobs") in spec.reading.origin


def test_names_of_the_store_need_no_prefix(store: Path) -> None:
    """A stored name is claimed as it is; other plain names are left to other sources."""
    source = OllamaSource()
    assert source.candidates("tiny:1b") == ["tiny:1b"]
    assert source.candidates("TINY:1B") == ["TINY:1B"]
    assert source.open("TINY:1B", Access()).layers
    assert not source.candidates("gpt2")
    assert source.named("gpt2") == ["gpt2:latest"]
    assert source.nearest("tinny:1b") == ["tiny:1b"]
    assert store.is_dir()


def test_models_are_listed_with_what_ollama_states(store: Path) -> None:
    """The list has name, size and blob of each model, and leaves broken manifests out."""
    put_manifest(store, "hf.co/org/repo/Q4_K_M", "{")
    (listed,) = stores.models()
    assert (listed.ref, listed.name, listed.kind) == ("ollama:tiny:1b", "tiny:1b", "ollama")
    assert (listed.quantisation, listed.parameters) == ("F16", "1.0B")
    assert listed.path
    assert listed.path.read_bytes()[:4] == b"GGUF"
    assert listed.size_bytes == len(tiny.gguf_file()) + 13 + 17


def test_what_is_loaded_beside_is_said(store: Path) -> None:
    """A projector is no silent omission."""
    put_model(store, "hf.co/org/repo/Q8_0", [("model", tiny.gguf_file()), ("projector", b"GGUF")])
    spec = open_model("ollama:hf.co/org/repo:Q8_0")
    assert any("projector (4 bytes)" in said for said in spec.unknowns)


def test_safetensors_layers_are_refused_with_a_way_out(store: Path) -> None:
    """Models in single tensors have no header, which is said."""
    put_model(store, "registry.ollama.ai/library/mlx/8b", [("tensor", b"x"), ("tensor", b"y")])
    with pytest.raises(InputError, match="single safetensors layers"):
        open_model("ollama:mlx:8b")


def test_a_missing_blob_says_how_to_get_it(store: Path) -> None:
    """A manifest whose blob is gone ends in the command that mends it."""
    for blob in (store / "blobs").iterdir():
        blob.unlink()
    with pytest.raises(MissingError, match="ollama pull tiny:1b"):
        open_model("ollama:tiny:1b")


@pytest.mark.parametrize(
    "digest", ["sha256:../../../etc/passwd", "sha256:" + "g" * 64, "../x", 7, None, "sha256:" + "A" * 64, ""]
)
def test_no_digest_leads_out_of_the_store(store: Path, digest: object) -> None:
    """A layer is named by 64 hex digits or refused."""
    row = {"mediaType": "application/vnd.ollama.image.model", "digest": digest, "size": 1}
    put_manifest(store, "registry.ollama.ai/library/evil/1b", {"layers": [row]})
    with pytest.raises(MalformedError, match="sha256"):
        open_model("ollama:evil:1b")


def test_a_missing_model_names_its_neighbours(store: Path) -> None:
    """Who asks for a name that is not there learns the near ones and how to pull it."""
    assert store.is_dir()
    with pytest.raises(MissingError, match=r"it has tiny:1b; get it with: ollama pull tiny:2b"):
        open_model("ollama:tiny:2b")


def test_no_store_and_no_server_is_said(tmp_path: Path) -> None:
    """Without either, the sentence names the folder and the address that were tried."""
    with pytest.raises(UnreachableError, match=r"no store in .*models, and no server at http://127.0.0.1:9"):
        open_model("ollama:tiny:1b")
    assert not (tmp_path / "models").exists()


def test_the_server_gives_layers_and_honest_weights(
    recorded: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a tensor list the layers are exact, weights are the file's size, and the plan says so."""
    with EngineServer(recorded) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        spec = open_model("ollama:llama3:8b")
    assert (len(spec.layers), spec.hidden_size, spec.vocab_size) == (32, 4096, 128256)
    assert sum(tensor.stored_bytes or 0 for tensor in spec.tensors) == 2019393189
    assert sum(tensor.parameters for tensor in spec.tensors) == 8030261248
    assert spec.id == "llama3:8b"
    assert any("equal pieces" in said for said in spec.unknowns)
    assert not any("weights are unknown" in said for said in spec.unknowns)
    again = open_model("ollama:llama3:8b")
    assert again.reading
    assert again.reading.kept_s is not None


def test_nothing_fits_for_certain_while_the_weights_are_unknown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A server that tells neither tensors nor size gives a lower bound: it may fail to fit, never fit."""
    plain = open_model(str(put(tmp_path, {"tiny.gguf": tiny.gguf_file()}) / "tiny.gguf"))
    shown = {"details": {"format": "gguf"}, "model_info": dict(plain.metadata)}
    with EngineServer({"/api/tags": {"models": []}, "/api/show": shown}) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        spec = open_model("ollama:tiny:1b")
    card, small = parse_devices("RTX 4090"), parse_devices("1MiB")
    made = plan_spec(spec, engine="llama.cpp", devices=card)
    assert made.fit is None
    assert [device.verdict for device in made.devices] == [None]
    assert plan_screen(made).verdict.startswith("Needs at least")
    bad = plan_spec(spec, engine="llama.cpp", devices=small)
    assert bad.fit
    assert bad.fit.verdict is Verdict.DOES_NOT_FIT


def test_a_tensor_list_makes_the_server_exact(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A server that lists tensors gives the plan of the file."""
    (tmp_path / "tiny.gguf").write_bytes(tiny.gguf_file())
    plain = open_model(str(tmp_path / "tiny.gguf"))
    replies = {"/api/tags": {"models": []}, "/api/show": shown_of(plain.metadata)}
    with EngineServer(replies) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        spec = open_model("ollama:tiny:1b")
    assert (spec.layers, spec.tensors) == (plain.layers, plain.tensors)


def test_lists_per_layer_are_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where the short reply empties a list per layer, the long one is asked for."""
    (tmp_path / "tiny.gguf").write_bytes(tiny.gguf_file())
    metadata = dict(open_model(str(tmp_path / "tiny.gguf")).metadata)
    key = f"{metadata['general.architecture']}.attention.head_count_kv"

    def show(request: Request) -> dict[str, Any]:
        return shown_of({**metadata, key: [2, 1] if json.loads(request.body).get("verbose") else []})

    with EngineServer({"/api/tags": {"models": None}, "/api/show": show}) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        spec = open_model("ollama:tiny:1b")
    assert spec.layers[0].mixers != spec.layers[1].mixers


def test_a_server_without_the_model_lists_what_it_has(
    recorded: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A 404 becomes the names that are there and the command that gets it."""
    del recorded["/api/show"]
    with EngineServer(recorded) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        with pytest.raises(MissingError, match=r"deepseek-r1:latest.*ollama pull deepseek-r1:7b"):
            open_model("ollama:deepseek-r1:7b")


def test_a_model_in_memory_is_planned_as_it_runs(
    recorded: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The context of the running model counts, and how much of it is on accelerators is said."""
    recorded["/api/ps"]["models"][0]["context_length"] = 16384
    recorded["/api/show"]["parameters"] += "\nnum_ctx   2048\nnum_gpu    0\nnum_batch 256"
    with EngineServer(recorded) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        told = deployment("ollama:llama3:8b", Access())
        resting = deployment("ollama:llama3.2", Access())
    assert told
    assert resting
    assert (told.model, told.program, told.engine) == ("ollama:llama3:8b", "Ollama 0.33.0", "llama.cpp")
    assert (told.context, resting.context) == (16384, 2048)
    assert told.options == {"n_batch": "256", "n_ubatch": "256", "n_gpu_layers": "0"}
    assert any("in memory" in note and "all of it" in note for note in told.notes)


def test_without_a_server_the_model_says_its_context(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parameters of the store count, then the environment, and what is not known is a note."""
    told = deployment("ollama:tiny:1b", Access())
    assert told
    assert told.context == 3072
    assert any("no Ollama at" in note for note in told.notes)
    put_model(store, "registry.ollama.ai/library/bare/1b", [("model", tiny.gguf_file())])
    bare = deployment("ollama:bare:1b", Access(offline=True))
    assert bare
    assert bare.context is None
    assert any("32,768" in note for note in bare.notes)
    monkeypatch.setenv("OLLAMA_CONTEXT_LENGTH", "8192")
    monkeypatch.setenv("OLLAMA_KV_CACHE_TYPE", "q8_0")
    bare = deployment("ollama:bare:1b", Access())
    assert bare
    assert bare.context == 8192
    assert bare.options == {"cache_type_k": "q8_0", "cache_type_v": "q8_0"}
    assert deployment("gpt2", Access()) is None


@pytest.mark.requirement("NFR-SRC-SAFE")
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_hostile_replies_end_in_sentences(
    data: st.DataObject, recorded: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a server says, a model comes out or one of our own errors."""
    path = data.draw(st.sampled_from(sorted(recorded)))
    replies = {**recorded, path: data.draw(mutated(recorded[path]))}
    with EngineServer(replies) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        for ask in (open_model, lambda ref: deployment(ref, Access())):
            try:
                assert ask("ollama:llama3:8b")
            except HwledgerError as error:
                assert "\n" not in str(error)  # noqa: PT017 - either outcome is right


@pytest.mark.requirement("NFR-SRC-SAFE")
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_hostile_manifests_end_in_sentences(data: st.DataObject, store: Path) -> None:
    """Whatever a manifest says, a model comes out or one of our own errors."""
    file = store / "manifests" / TINY
    good = json.loads(file.read_text())
    file.write_text(json.dumps(data.draw(mutated(good))))
    try:
        assert open_model("ollama:tiny:1b")
    except HwledgerError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either outcome is right
    stores.models()
    file.write_text(json.dumps(good))
