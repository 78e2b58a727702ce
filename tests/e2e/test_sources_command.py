"""Models from everywhere, as a user types them: a process of its own against servers on loopback."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import tiny
from support.hub_repo import SHA, Repo
from support.hub_server import HubServer
from support.process import run

pytestmark = pytest.mark.enable_socket
ISSUE = "vllm serve Qwen/Qwen3-32B --tensor-parallel-size 2 --max-model-len 32768 --kv-cache-dtype fp8"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A hub that HF_ENDPOINT names."""
    quants = {f"tiny-{quant}.gguf": tiny.gguf_file() for quant in ("Q4_0", "F16")}
    repos = [
        Repo("org/tiny", tiny.plain()), Repo("org/tiny-GGUF", quants, library_name="gguf"),
        Repo("org/gated", tiny.plain(), gated="manual"),
    ]  # fmt: skip
    with HubServer(repos) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


@pytest.mark.requirement("FR-SRC-HUB", "FR-SRC-CACHE")
def test_a_model_of_the_hub_is_planned_and_what_was_read_is_said(hub: HubServer) -> None:
    """The last line says where, how many bytes and requests; the second call says how old it is."""
    first = run("plan", "org/tiny")
    assert first.returncode == 0
    assert f"Read: 127.0.0.1:{hub.url.rpartition(':')[2]}/org/tiny@0123456 (2 files, " in first.stdout
    assert "of headers, 4 requests)" in first.stdout
    asked = hub.all_requests
    second = run("plan", "org/tiny", "--offline")
    assert "remembered from" in second.stdout
    assert "--refresh reads it again" in second.stdout
    refused = run("plan", "org/tiny", "--offline", "--refresh")
    assert refused.returncode == 2
    assert "is remembered, --refresh forbids to use that, and --offline to ask anew" in refused.stderr
    assert not refused.stdout
    assert hub.all_requests == asked
    model = json.loads(run("plan", f"{hub.url}/org/tiny/tree/main", "--json").stdout)["model"]
    assert model["revision"] == SHA
    assert model["reading"]["kept_s"] is not None


@pytest.mark.requirement("FR-SRC-HUB")
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("plan", "org/tiny-GGUF"), 2, "org/tiny-GGUF:F16, org/tiny-GGUF:Q4_0"),
        (("plan", "org/tiny-GGUF:Q2_K"), 4, "there is no Q2_K; there are :F16"),
        (("plan", "org/gated"), 5, "accept its terms at"),
        (("plan", "org/none"), 4, "the hub has no model org/none"),
        (("plan", "hf:org/never", "--offline"), 5, "neither remembered nor in the hub's cache"),
        (("show", "org/tiny", "--revision", "v7"), 4, "no branch, tag or commit 'v7'"),
        (("plan", "--from-command", "make me a sandwich"), 2, "hwledger:"),
        (("plan", "x", "--from-command", "y"), 2, "not both"),
        (("plan",), 2, "name a model"),
        (("models", "--author", "x"), 2, "add --hub"),
    ],
)
def test_what_cannot_be_is_one_sentence_with_its_code(
    hub: HubServer, words: tuple[str, ...], code: int, said: str
) -> None:
    """Every refusal keeps the documented exit code and says what to do."""
    del hub
    done = run(*words)
    assert done.returncode == code
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.requirement("FR-SRC-COMMANDS")
def test_a_pasted_command_is_planned_as_it_runs() -> None:
    """Its model, engine and every option are in the plan, and what is given beside it wins."""
    document = json.loads(run("plan", "--from-command", ISSUE, "--device", "2x H100 SXM", "--json").stdout)
    options = document["engine"]["options"]
    assert document["model"]["id"] == "Qwen/Qwen3-32B"
    assert (document["engine"]["name"], document["program"]) == ("vllm", "vllm serve")
    assert options["tensor_parallel_size"] == 2
    assert options["max_model_len"] == 32768
    assert document["workload"] == {"context_tokens": 32768, "concurrency": 1, "kv_cache_type": "fp8"}
    same = json.loads(
        run("plan", "--from-command", ISSUE, "--context", "4096", "--kv-cache", "auto", "--json").stdout
    )
    assert same["workload"]["context_tokens"] == 4096
    assert same["workload"]["kv_cache_type"] != "fp8"
    by_words = run("plan", ISSUE, "--device", "2x H100 SXM", "--json")
    assert json.loads(by_words.stdout)["memory"] == document["memory"]


@pytest.mark.requirement("FR-SRC-SEARCH", "FR-SRC-LOCAL")
def test_models_lists_the_catalogue_this_machine_and_the_hub(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One command, three places; the hub's answer is kept and says its age."""
    del hub
    monkeypatch.setenv("LLAMA_CACHE", str(tmp_path))
    (tmp_path / "tiny-llama-8b-Q4_0.gguf").write_bytes(tiny.gguf_file())
    both = json.loads(run("models", "8b", "--json").stdout)
    assert any(model["id"] == "Qwen/Qwen3-8B" for model in both["models"])
    assert [row["verdict"] for row in both["local"]] == ["fits"]
    local = run("models", "--local")
    assert "Q4_0" in local.stdout
    assert "1 model on this machine" in local.stdout
    found = run("models", "--hub", "tiny", "--library", "gguf")
    assert "org/tiny-GGUF" in found.stdout
    assert "1 model of the hub" in found.stdout
    kept = run("models", "--hub", "tiny", "--library", "gguf", "--offline")
    assert "kept from a search" in kept.stdout
    refused = run("models", "--hub", "tiny", "--library", "gguf", "--offline", "--refresh")
    assert refused.returncode == 2
    assert "the answer to this search is remembered, --refresh forbids to use that" in refused.stderr


@pytest.mark.requirement("FR-SRC-SEARCH")
def test_every_place_that_was_searched_is_said(hub: HubServer) -> None:
    """Nothing found is said of the catalogue and of this machine; contradictions are refused."""
    none = run("models", "zzzzz")
    assert "nothing in the catalogue matches zzzzz" in none.stdout
    assert "no model on this machine matches zzzzz" in none.stdout
    assert "on this machine" not in run("models", "zzzzz", "--catalogue").stdout
    assert "catalogue" not in run("models", "zzzzz", "--local").stdout
    assert run("models", "zzzzz", "--local", "--catalogue").stdout == none.stdout
    for other in ("--local", "--catalogue"):
        refused = run("models", "x", "--hub", other)
        assert refused.returncode == 2
        assert "give one of them" in refused.stderr
    assert not hub.log


@pytest.mark.requirement("FR-SRC-LOCAL")
def test_a_list_without_fit_reads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``--no-fit`` says names, places and sizes of whatever is there."""
    monkeypatch.setenv("LLAMA_CACHE", str(tmp_path))
    (tmp_path / "x-Q4_0.gguf").write_bytes(b"no header")
    (row,) = json.loads(run("models", "--local", "--no-fit", "--json").stdout)["local"]
    assert (row["size_bytes"], row["quantisation"], row["problem"]) == (9, "Q4_0", None)
    (row,) = json.loads(run("models", "--local", "--json").stdout)["local"]
    assert "GGUF" in row["problem"]
    assert "nothing is called" not in row["problem"]


@pytest.mark.requirement("FR-PLAN-CLI")
def test_a_reader_that_has_enough_is_no_error() -> None:
    """``hwledger models | head -1`` leaves with 0 and says nothing."""
    script = f"{sys.executable} -m hwledger models --catalogue | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.strip().splitlines()[-1] == "0"
    assert not done.stderr
