"""Replies that no engine gives: every one becomes a deployment or one of hwledger's own errors."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwledger.errors import HwledgerError, MalformedError, MissingError
from hwledger.library.serving.detect import read_server
from hwledger.library.serving.replies import Server, object_of, objects_of, text_of, whole_of
from hwledger.planner.engine import engine_profile
from support.mutations import mutated

pytestmark = pytest.mark.requirement("FR-SRC-ENGINE")
METRICS = 'vllm:cache_config_info{block_size="16",num_gpu_blocks="9"} 1\n'
PROPS = {"default_generation_settings": {"n_ctx": 2048}, "total_slots": 4, "model_path": "/m/x.gguf",
         "build_info": "b7000-a"}  # fmt: skip
LISTED = {"data": [{"id": "x", "owned_by": "llamacpp", "meta": {"n_params": 7}}]}
CARD = {"owned_by": "", "id": "org/tiny"}
ANSWERS: tuple[dict[str, Any], ...] = (
    {"/v1/models": {"data": [{**CARD, "owned_by": "vllm", "root": "org/tiny", "max_model_len": 9}]},
     "/version": {"version": "0.11.0"}, "/metrics": METRICS,
     "/server_info?config_format=json": {"vllm_config": {"parallel_config": {"tensor_parallel_size": 2}}}},
    {"/v1/models": {"data": [{**CARD, "owned_by": "sglang"}]},
     "/server_info": {"model_path": "org/tiny", "tp_size": 2, "version": "0.5", "chunked_prefill_size": 1,
                      "quantization": "fp8", "dp_size": 2, "internal_states": [{"max_total_num_tokens": 5}]}},
    {"/info": {"model_id": "org/tiny", "router": "text-generation-router", "max_total_tokens": 9,
               "model_sha": "a" * 40, "version": "3"}},
    {"/v1/models": LISTED, "/props": PROPS},
    {"/v1/models": {"data": [{"id": "default", "owned_by": "local"},
                             {"id": "org/tiny", "owned_by": "local", "status": "loaded"}]}},
    {"/api/ps": {"models": [{"name": "a:1b", "context_length": 9}]}, "/api/version": {"version": "0.13"}},
    {"/api/v1/models": {"models": [{"type": "llm", "key": "a/b", "format": "gguf", "loaded_instances": [
        {"config": {"context_length": 9, "parallel": 2, "flash_attention": True}}]}]}},
)  # fmt: skip


class FakeHttp:
    """Answers from a table, as ``Http.fetch`` does."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers

    def fetch(self, url: str, **_: Any) -> bytes:
        """Return the answer at a path.

        Raises:
            MissingError: there is none.
        """
        path = url.removeprefix("http://h")
        if path not in self.answers:
            raise MissingError(f"{path} is not there")
        found = self.answers[path]
        return found.encode("utf-8", "replace") if isinstance(found, str) else json.dumps(found).encode()


def served(answers: dict[str, Any]) -> Server:
    """Return a server that answers from a table."""
    return Server(FakeHttp(answers), "http://h")  # type: ignore[arg-type]


@given(st.data())
@settings(max_examples=400, deadline=None)
def test_broken_replies_are_errors_of_ours_or_harmless(data: st.DataObject) -> None:
    """One to three values of a right set of answers turn to junk: a usable answer or an error of ours."""
    answers = dict(data.draw(st.sampled_from(ANSWERS)))
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(sorted(answers)))
        answers[path] = data.draw(mutated(answers[path]))
    try:
        told = read_server(served(answers))
    except HwledgerError:
        return
    assert told.model
    assert told.model.isprintable()
    assert "://" not in told.model
    known = engine_profile(told.engine).options if told.engine else {}
    for name, text in told.options.items():
        known[name].parse(text)


@pytest.mark.parametrize("answers", ANSWERS, ids=lambda answers: next(iter(answers)))
def test_the_right_answers_are_read(answers: dict[str, Any]) -> None:
    """The answers that the test above breaks are right ones."""
    assert read_server(served(answers)).model in {"org/tiny", "/m/x.gguf", "ollama:a:1b", "lmstudio:a/b"}


def test_an_engine_that_does_not_say_what_it_runs() -> None:
    """An engine that is known and names no model is told so."""
    for owner in ("vllm", "sglang", "llamacpp"):
        with pytest.raises(MalformedError, match="does not say which model"):
            read_server(served({"/v1/models": {"data": [{"owned_by": owner, "id": 7}]}}))


def test_values_that_are_no_values() -> None:
    """Texts, numbers and lists of other types, sizes and signs are taken for absent."""
    found = {"a": True, "b": -1, "c": 10**30, "d": "12", "e": "x\x00", "f": " y ", "g": [1, {}], "h": "²"}
    assert [whole_of(found, key) for key in "abcdh"] == [None, None, None, 12, None]
    assert [text_of(found, key) for key in "aef"] == [None, None, "y"]
    assert objects_of(found, "g") == [{}]
    assert object_of(found, "g") == {}
