"""The hub on loopback, asked by huggingface_hub and by our range requests, as a user would."""

from collections.abc import Iterator
from itertools import repeat
from math import inf
from pathlib import Path

import pytest

from hwledger.errors import (
    AmbiguousError,
    DeniedError,
    HwledgerError,
    MissingError,
    OfflineError,
    UnreachableError,
    UsageError,
)  # fmt: skip
from hwledger.library.access import Access, Progress
from hwledger.library.hub.search import HubQuery, search_hub
from hwledger.library.net.guard import Deadline
from hwledger.library.source import open_model
from hwledger.model.spec import ModelSpec
from support import faults, tiny
from support.checkpoints import put
from support.hub_cache import put_snapshot
from support.hub_repo import SHA, Repo
from support.hub_server import HubServer
from support.web_server import RawReply, Reply, WebServer, file, json_reply

pytestmark = [pytest.mark.enable_socket, pytest.mark.requirement("FR-SRC-HUB")]
OTHER = "f" * 40
QUANTS = {"tiny-Q4_0.gguf": tiny.gguf_file(), "tiny-F16.gguf": tiny.gguf_file(), "mmproj-tiny.gguf": b"GGUF"}
INFO = "/api/models/org/tiny[?]"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A hub with repositories of every kind, which HF_ENDPOINT names."""
    split = {**tiny.gguf_shards("q/t-Q8_0"), "README.md": b"x"}
    repos = [
        Repo("org/tiny", tiny.plain(), tags={"v1": OTHER}, downloads=7),
        Repo("org/tiny-GGUF", QUANTS, library_name="gguf", downloads=9),
        Repo("org/split-GGUF", split, library_name="gguf"),
        Repo("org/tiny-4bit", tiny.mlx(), library_name="mlx"),
        Repo("org/gated", tiny.plain(), gated="manual"),
        Repo("org/private", tiny.plain(), private=True),
        Repo("org/adapter", tiny.adapter("org/tiny")),
        Repo("org/config", {"config.json": tiny.config(), "pytorch_model.bin": b"pickle"}),
    ]
    with HubServer(repos) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


def opened(ref: str, **access: object) -> ModelSpec:
    """Open a model with a short limit of time."""
    return open_model(ref, access=Access(**{"time_limit_s": 60.0, **access}))  # type: ignore[arg-type]


def test_a_repository_is_read_by_its_headers(hub: HubServer) -> None:
    """Config and headers alone are read, each once; the model knows its commit and what was read."""
    spec = opened("org/tiny")
    assert (spec.format, len(spec.layers), spec.revision) == ("safetensors", 2, SHA)
    assert spec.reading
    assert spec.reading.files == 2
    assert spec.reading.bytes_read == hub.all_sent
    assert spec.reading.requests == hub.all_requests == 4  # info, config, the header and its redirect
    assert hub.all_sent < len(tiny.plain()["model.safetensors"])


def test_the_second_plan_asks_nobody_and_says_how_old_it_is(hub: HubServer) -> None:
    """A branch is believed for a day, a commit for ever; ``refresh`` asks again."""
    first = opened("org/tiny")
    asked = hub.all_requests
    again = opened("org/tiny")
    assert hub.all_requests == asked
    assert again.reading
    assert again.reading.kept_s is not None
    assert [layer.kind for layer in again.layers] == [layer.kind for layer in first.layers]
    assert again.stored_tensors == first.stored_tensors
    opened("org/tiny", refresh=True)
    assert hub.all_requests > asked


def test_offline_what_is_remembered_counts_and_nothing_else_is_asked(hub: HubServer) -> None:
    """Without a network the same plan comes back; a model never read ends in a sentence."""
    opened("org/tiny")
    asked = hub.all_requests
    assert opened("org/tiny", offline=True).revision == SHA
    with pytest.raises(OfflineError, match="neither remembered nor in the hub's cache"):
        opened("org/tiny-4bit", offline=True)
    assert hub.all_requests == asked


def test_a_hub_that_is_gone_leaves_what_is_remembered(hub: HubServer) -> None:
    """An earlier reading is used when the hub does not answer, and that is said."""
    opened("org/tiny")
    said: list[str] = []
    hub.faults.append((INFO, inf, Reply(500)))
    spec = opened("org/tiny", refresh=True, say=said.append)
    assert spec.reading
    assert spec.reading.kept_s is not None
    assert "planned from an earlier reading" in said[-1]


def test_the_hubs_own_cache_answers_offline(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A snapshot that huggingface_hub downloaded is found, laid out as it lays it out."""
    del hub
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    put_snapshot(tmp_path, "org/tiny", tiny.plain(), OTHER)
    for refresh in (False, True):
        spec = opened("org/tiny", offline=True, refresh=refresh)
        assert (spec.format, spec.revision) == ("safetensors", OTHER)


def test_files_that_are_downloaded_already_are_read_from_disk(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the same commit only the repository's list is asked for."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    put_snapshot(tmp_path, "org/tiny", tiny.plain(), SHA, ref=None)
    assert opened("org/tiny").format == "safetensors"
    assert [asked.path for asked in hub.log] == ["/api/models/org/tiny"]


def test_a_quantisation_chooses_among_gguf_files(hub: HubServer) -> None:
    """One named is read by its header; several unnamed are listed with what to type."""
    spec = opened("org/tiny-GGUF:Q4_0")
    assert (spec.format, spec.exact_tensors) == ("gguf", True)
    assert "Q4_0" in hub.log[-1].path
    with pytest.raises(AmbiguousError, match=r"org/tiny-GGUF:F16, org/tiny-GGUF:Q4_0"):
        opened("org/tiny-GGUF")


def test_a_split_gguf_is_read_part_by_part(hub: HubServer) -> None:
    """All parts are found in their folder and joined."""
    assert len(opened("org/split-GGUF:Q8_0").tensors) == len(tiny.gguf_tensors())
    assert sum(asked.path.endswith(".gguf") for asked in hub.log) == 3


def test_addresses_of_pages_and_files_are_understood(hub: HubServer) -> None:
    """What is copied from the address bar gives the same model."""
    assert opened(f"{hub.url}/org/tiny/tree/v1").revision == OTHER
    assert opened(f"{hub.url}/org/tiny-GGUF/blob/main/tiny-F16.gguf").format == "gguf"
    assert opened("hf:org/tiny").format == "safetensors"
    assert opened("org/tiny", revision="v1").revision == OTHER


def test_an_adapter_is_its_base_and_its_own_bytes(hub: HubServer) -> None:
    """The base model is read too, the adapter's tensors are added to it, and that is said."""
    del hub
    base, adapter = opened("org/tiny"), opened("org/adapter")
    extra = sum(t.stored_bytes or 0 for t in adapter.stored_tensors) - sum(
        t.stored_bytes or 0 for t in base.stored_tensors
    )
    assert extra == 2 * 2 * 8 * 64 * 4
    assert len(adapter.layers) == len(base.layers)
    assert (adapter.adapter_rank, base.adapter_rank) == (8, None)
    assert any("adapter of org/tiny" in note for note in adapter.unknowns)
    assert adapter.reading
    assert adapter.reading.files == 4


def test_pickles_are_never_opened(hub: HubServer) -> None:
    """A repository of .bin files is planned from its config, and that is said."""
    spec = opened("org/config")
    assert spec.format == "config"
    assert any("never opened" in note for note in spec.unknowns)
    assert not any("bin" in asked.path for asked in hub.log)


@pytest.mark.parametrize(
    ("ref", "error", "words"),
    [
        ("org/gated", DeniedError, "accept its terms at .*/org/gated, then set HF_TOKEN"),
        ("org/private", MissingError, "has no model org/private, or it is private"),
        ("org/none", MissingError, "to search: hwledger models --hub none"),
        ("org/tiny@v9", MissingError, "no branch, tag or commit 'v9'"),
        ("org/tiny/none.gguf", MissingError, "there is no"),
    ],
)
def test_a_refusal_says_what_to_do(hub: HubServer, ref: str, error: type[Exception], words: str) -> None:
    """Gated, private and missing models and revisions each have their own sentence."""
    del hub
    with pytest.raises(error, match=words):
        opened(f"hf:{ref}")


def test_a_token_opens_what_is_gated_and_goes_nowhere_else(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub sees the token; the host that large files come from never does."""
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    assert opened("org/gated").format == "safetensors"
    assert {asked.authorization for asked in hub.log} == {"Bearer hf_right"}
    assert hub.cdn.log
    assert not hub.cdn.got_authorization


def test_a_token_that_is_none_is_said(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub refuses a wrong token even for what needs none."""
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(DeniedError, match=r"does not know your token.* unset HF_TOKEN"):
        opened("org/tiny")
    assert {asked.authorization for asked in hub.log} == {"Bearer hf_wrong"}


def test_a_renamed_repository_is_found_under_its_old_name(hub: HubServer) -> None:
    """The hub redirects from the old name, for the list and for each file."""
    hub.moved["old/name"] = "org/tiny"
    assert opened("old/name").stored_tensors == opened("org/tiny").stored_tensors


def test_small_files_may_come_by_redirect(hub: HubServer) -> None:
    """A relative redirect to the hub's own cache changes nothing but the count of requests."""
    hub.resolve_cache = True
    spec = opened("org/tiny")
    assert (spec.format, len(spec.layers)) == ("safetensors", 2)
    assert spec.reading
    assert spec.reading.requests == hub.all_requests == 5


def test_a_rate_limit_is_waited_for_and_said(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's own time is kept, else one that grows; a long one ends in a sentence instead of waiting."""
    said: list[str] = []
    waited_s: list[float] = []
    monkeypatch.setattr(Deadline, "pause", lambda _, seconds: waited_s.append(seconds))
    limit = Reply(429, {"RateLimit": '"api";r=0;t=7'})
    hub.faults += [(INFO, 1, limit), (INFO, 1, faults.rate_limited(5)), (INFO, 1, faults.broken(503))]
    assert opened("org/tiny", say=said.append).format == "safetensors"
    assert waited_s == [7, 5, 4]
    assert "limits the rate" in said[0]
    assert "is busy (503)" in said[2]
    hub.faults.append(("/api/models/org/tiny-4bit", 1, faults.rate_limited(900)))
    with pytest.raises(UnreachableError, match="ask again in 900 s"):
        opened("org/tiny-4bit")


FAULTS = {
    "no JSON": (faults.html(), UnreachableError, "as no hub does"),
    "a list": (json_reply([]), UnreachableError, "as no hub does"),
    "no commit": (json_reply({"id": "org/tiny"}), UnreachableError, "as no hub does"),
    "an error": (Reply(500), UnreachableError, "answers 500"),
    "a file": (faults.redirect("file:///etc/passwd"), UnreachableError, "redirects from http to file"),
    "another scheme": (faults.redirect("https://127.0.0.1:1/"), UnreachableError, "from http to https"),
    "packed": (faults.gzipped(), UnreachableError, "packed"),
    "cut off": (faults.cut(10), UnreachableError, "cannot be reached"),
    "too short": (faults.lying_length(10), UnreachableError, "cannot be reached"),
    "no HTTP": (RawReply(b"\x00\x01\x02\r\n\r\n"), UnreachableError, "cannot be reached"),
    "a loop": (faults.redirect_loop, UnreachableError, "cannot be reached"),
    "without an end": (faults.huge_json(), UnreachableError, "sends more than the 67,108,864 bytes"),
}


@pytest.mark.requirement("NFR-SRC-SAFE")
@pytest.mark.parametrize("name", FAULTS)
def test_a_broken_answer_ends_in_one_sentence(hub: HubServer, name: str) -> None:
    """Whatever the hub sends, the error says what happened and nothing is followed out of HTTP."""
    reply, error, words = FAULTS[name]
    hub.faults.append((INFO, inf, reply))
    with pytest.raises(error, match=words):
        opened("org/tiny")


@pytest.mark.requirement("NFR-SRC-SAFE")
def test_a_server_without_ranges_is_refused_before_it_sends_everything(hub: HubServer) -> None:
    """The whole file is never taken in place of its header."""
    whole = Reply(200, {"Content-Length": str(1 << 40)}, lambda: repeat(bytes(1 << 16)))
    hub.faults.append(("model.safetensors", 1, whole))
    said = r"ignores range requests and would send the whole file of 1,099,511,627,776 bytes"
    with pytest.raises(UnreachableError, match=said):
        opened("org/tiny")


@pytest.mark.requirement("NFR-SRC-SAFE")
def test_a_server_that_drips_is_given_up(hub: HubServer) -> None:
    """A byte now and then does not keep us waiting beyond the limit of time."""
    hub.faults.append((INFO, inf, faults.dripping(1, 0.1)))
    with pytest.raises(UnreachableError, match="given up after"):
        opened("org/tiny", time_limit_s=0.6)


def test_progress_tells_files_and_bytes(hub: HubServer) -> None:
    """Something hears of every file while it is read."""
    del hub
    heard: list[Progress] = []
    opened("org/tiny", progress=heard.append)
    assert heard[-1].what == "org/tiny"
    assert heard[-1].files_done == heard[-1].files == 1
    assert [p.bytes_read for p in heard] == sorted(p.bytes_read for p in heard)


@pytest.mark.requirement("FR-SRC-SEARCH")
def test_a_search_filters_and_is_kept_for_when_there_is_no_network(hub: HubServer) -> None:
    """Filters reach the hub, an answer is kept and says its age, and a new search needs a network."""
    found = search_hub(HubQuery(words="tiny", library="gguf"), Access())
    assert [model.ref for model in found.models] == ["org/tiny-GGUF"]
    asked = hub.all_requests
    again = search_hub(HubQuery(words="tiny", library="gguf"), Access(offline=True))
    assert again.models == found.models
    assert again.kept_s is not None
    assert hub.all_requests == asked
    with pytest.raises(OfflineError, match="never asked"):
        search_hub(HubQuery(words="other"), Access(offline=True))


def test_a_copy_on_this_machine_is_not_remembered_in_the_hubs_name(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An incomplete or old snapshot answers offline, says so, and never stands in for the hub afterwards."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    index = {"model.safetensors.index.json": b'{"weight_map": {"a": "model-00001-of-00001.safetensors"}}'}
    put_snapshot(tmp_path, "org/tiny", {"config.json": tiny.config(), **index}, SHA)
    for ref in ("org/tiny", f"org/tiny@{SHA}"):
        there = opened(ref, offline=True)
        assert any("incomplete" in said for said in there.unknowns)
        assert not there.stored_tensors
    asked = hub.all_requests
    for ref in ("org/tiny", f"org/tiny@{SHA}"):
        assert opened(ref).stored_tensors
    assert hub.all_requests > asked


def test_suggested_names_keep_the_revision(hub: HubServer) -> None:
    """What is listed to choose from reads the revision that was asked for when it is pasted."""
    hub.repos["org/split-GGUF"].tags = {"v2": OTHER}  # type: ignore[attr-defined]
    files = {"a-Q4_0.gguf": tiny.gguf_file(), "b-Q4_0.gguf": tiny.gguf_file()}
    hub.repos["org/split-GGUF"].files = files
    with pytest.raises(AmbiguousError) as caught:
        opened("org/split-GGUF@v2:Q4_0")
    assert caught.value.candidates == ("hf:org/split-GGUF@v2/a-Q4_0.gguf", "hf:org/split-GGUF@v2/b-Q4_0.gguf")
    assert opened(caught.value.candidates[0]).exact_tensors


def test_two_revisions_are_refused(hub: HubServer) -> None:
    """A revision in the name and another in the option are not chosen between."""
    with pytest.raises(UsageError, match="names the revision v1 and --revision dev"):
        opened("org/tiny@v1", revision="dev")
    assert opened("org/tiny@v1", revision="v1").revision == OTHER
    assert not [line for line in hub.log if "dev" in line.target]


def test_spellings_of_the_hub(hub: HubServer) -> None:
    """hf://, capitals and a slash at the end name the same model."""
    assert hub.url
    assert {opened(ref).id for ref in ("hf://org/tiny", "HF:org/tiny", "org/tiny/", "'org/tiny'")} == {
        opened("org/tiny").id
    }


@pytest.mark.parametrize("endpoint", ["http://[::1", "ftp://hub", "not a url", "http://"])
def test_an_endpoint_that_is_no_address_is_said(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is named, and nothing is asked."""
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    with pytest.raises(UsageError, match="HF_ENDPOINT"):
        opened("hf:org/tiny")
    with pytest.raises(UsageError, match="HF_ENDPOINT"):
        search_hub(HubQuery(words="x"), Access())


@pytest.mark.parametrize("body", [b"<html>Log in</html>", b"", b"{}", b"[]"])
def test_a_login_page_is_no_broken_model(hub: HubServer, body: bytes) -> None:
    """Who answers in the hub's place is not taken for a model that is broken: exit code 5."""
    hub.faults.append((INFO, inf, Reply(200, {"Content-Type": "text/html"}, body)))
    with pytest.raises(UnreachableError, match="as no hub does"):
        opened("org/tiny")


@pytest.mark.requirement("NFR-SRC-SAFE")
@pytest.mark.parametrize("kind", ["address", "web", "server", "folder", "relative", "ollama"])
def test_an_adapter_of_the_hub_leads_nowhere_else(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """A stranger's adapter may name a model of the hub; no address, file or program here is read for it."""
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "secret", tiny.plain())
    with WebServer({"/m.gguf": lambda asked: file(tiny.gguf_file(), asked)}) as other:
        base = {
            "address": f"{other.url}/m.gguf", "web": f"web:{other.url}/m.gguf", "server": other.url,
            "folder": str(tmp_path / "secret"), "relative": "./secret", "ollama": "ollama:tiny:1b",
        }[kind]  # fmt: skip
        hub.repos["org/adapter"].files = tiny.adapter(base)
        with pytest.raises(HwledgerError) as caught:
            opened("org/adapter")
        assert not other.log
    assert "\n" not in str(caught.value)


def test_an_adapter_on_disk_may_lie_beside_its_base(tmp_path: Path) -> None:
    """One's own adapter names a folder of one's own."""
    put(tmp_path / "base", tiny.plain())
    put(tmp_path / "lora", tiny.adapter(str(tmp_path / "base")))
    assert len(open_model(str(tmp_path / "lora")).layers) == 2
    put(tmp_path / "lost", tiny.adapter(str(tmp_path / "none")))
    with pytest.raises(MissingError, match="adapter of"):
        open_model(str(tmp_path / "lost"))
