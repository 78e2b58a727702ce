"""Inference engines on loopback: each answers as the real one does, and 404 (or its own habit) elsewhere."""

from collections.abc import Mapping
from typing import Any

from support.web_server import Answer, RawReply, Reply, Request, WebServer, json_reply

Answers = Mapping[str, Any]
COMMIT = "a" * 40


class EngineServer(WebServer):
    """One engine: ``answers`` by path, JSON, text or a reply, or a function of the request that gives one.

    With ``key``, ``/v1`` is guarded by it.
    """

    elsewhere = Reply(404, {}, b'{"detail":"Not Found"}')

    def __init__(self, answers: Answers, key: str = "") -> None:
        super().__init__()
        self.answers = dict(answers)
        self.key = key

    def answer(self, request: Request) -> Answer:
        """Return what the engine says."""
        guarded = self.key and request.path.startswith("/v1")
        if guarded and request.authorization != f"Bearer {self.key}":
            return Reply(401, {}, b'{"error":"Unauthorized"}')
        found = self.answers.get(request.path, self.elsewhere)
        found = found(request) if callable(found) else found
        if isinstance(found, str):
            return Reply(200, {"Content-Type": "text/plain"}, found.encode())
        return found if isinstance(found, Reply | RawReply) else json_reply(found)


class Vllm(EngineServer):
    """vLLM; ``metrics`` is its text of metrics."""

    def __init__(self, metrics: str = "", version: str = "0.11.0", *, key: str = "", **answers: Any) -> None:
        card = {"id": "served", "object": "model", "owned_by": "vllm", "root": "org/tiny", "parent": None,
                "max_model_len": 4096}  # fmt: skip
        super().__init__(
            {"/version": {"version": version}, "/v1/models": {"object": "list", "data": [card]},
             "/metrics": metrics, "/health": "", **answers}, key,
        )  # fmt: skip


class Sglang(EngineServer):
    """SGLang; ``info`` is added to its arguments. ``old``: under the earlier paths alone."""

    def __init__(self, info: Answers | None = None, *, old: bool = False) -> None:
        arguments = {
            "model_path": "org/tiny", "revision": None, "tp_size": 2, "dp_size": 1, "pp_size": 1,
            "dtype": "auto", "context_length": None, "mem_fraction_static": 0.85,
            "kv_cache_dtype": "fp8_e4m3",
            "max_running_requests": 64, "chunked_prefill_size": 8192, "quantization": None,
            "version": "0.5.3", "disable_radix_cache": True,
            "internal_states": [{"max_total_num_tokens": 60000}],
            "max_prefill_tokens": 16384, **(info or {}),
        }  # fmt: skip
        model = {"model_path": arguments["model_path"], "tokenizer_path": "org/tiny", "is_generation": True,
                 "weight_version": "default"}  # fmt: skip
        card = {"id": "served", "object": "model", "owned_by": "sglang", "root": "served", "parent": None,
                "max_model_len": 2048}  # fmt: skip
        new = {} if old else {"/server_info": arguments, "/model_info": model}
        super().__init__(
            {"/v1/models": {"object": "list", "data": [card]}, "/get_server_info": arguments,
             "/get_model_info": model, **new},
        )  # fmt: skip


class Tgi(EngineServer):
    """Text Generation Inference 3; its list of models is signed with the model's own name."""

    def __init__(self, info: Answers | None = None) -> None:
        told = {
            "model_id": "org/tiny", "model_sha": COMMIT, "model_pipeline_tag": "text-generation",
            "max_concurrent_requests": 128, "max_best_of": 2, "max_stop_sequences": 4,
            "max_input_tokens": 4095, "max_total_tokens": 4096, "validation_workers": 2,
            "max_client_batch_size": 4,
            "router": "text-generation-router", "version": "3.3.5", "sha": None, "docker_label": "sha-1",
        } if info is None else dict(info)  # fmt: skip
        card = {"id": told.get("model_id"), "object": "model", "created": 0, "owned_by": told.get("model_id")}
        super().__init__({"/info": told, "/v1/models": {"object": "list", "data": [card]}})


class LlamaServer(EngineServer):
    """llama.cpp's server with one model."""

    elsewhere = Reply(404, {}, b'{"error":{"code":404,"message":"File Not Found","type":"not_found_error"}}')

    def __init__(self, props: Answers, models: Answers) -> None:
        off = Reply(501, {}, b'{"error":{"code":501,"message":"This server does not support it"}}')
        super().__init__(
            {"/props": props, "/v1/models": models, "/models": models, "/metrics": off, "/slots": off}
        )


class LlamaRouter(EngineServer):
    """llama.cpp's server in its router mode: ``loaded`` by name, and names that are not."""

    elsewhere = LlamaServer.elsewhere

    def __init__(self, loaded: Mapping[str, Answers], others: tuple[str, ...] = ()) -> None:
        self.loaded = dict(loaded)
        cards = [self._card(name, "loaded") for name in loaded] + [
            self._card(name, "unloaded") for name in others
        ]
        models = {"object": "list", "data": cards}
        super().__init__({"/props": self._props, "/v1/models": models, "/models": models})

    def _props(self, request: Request) -> Any:
        if not request.first("model"):
            return {"role": "router", "model_path": "none", "total_slots": 0, "build_info": "b7500-abc",
                    "default_generation_settings": {"params": {}, "n_ctx": 0}}  # fmt: skip
        return self.loaded.get(request.first("model"), Reply(400, {}, b'{"error":{"message":"not loaded"}}'))

    @staticmethod
    def _card(name: str, state: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "owned_by": "llamacpp", "created": 0,
                "status": {"value": state, "args": []}}  # fmt: skip


class MistralRs(EngineServer):
    """mistral.rs; ``states`` by model. ``plain``: without the entry ``default``, as it was before."""

    def __init__(self, states: Mapping[str, str] | None = None, *, plain: bool = False) -> None:
        states = {"org/tiny": "loaded"} if states is None else states
        base = {"object": "model", "created": 1, "owned_by": "local"}
        cards = [{**base, "id": name, "status": state} for name, state in states.items()]
        cards = [{**base, "id": name} for name in states] if plain else [{**base, "id": "default"}, *cards]
        system = {"os": "Linux", "kernel": "6", "cpu": {}, "memory": {}, "devices": [],
                  "build": {"cuda": True, "git_revision": "0400ed94dfa285b0"},
                  "hf_cache_path": None}  # fmt: skip
        super().__init__(
            {"/v1/models": {"object": "list", "data": cards}, "/health": "OK", "/v1/system/info": system}
        )


class Ollama(EngineServer):
    """Ollama; ``running`` is its answer to ``/api/ps``, ``known`` that to ``/api/tags``."""

    elsewhere = Reply(404, {}, b"404 page not found")

    def __init__(self, running: Answers, known: Answers | None = None) -> None:
        names = [row["name"] for row in (known or running)["models"]]
        cards = [{"id": name, "object": "model", "created": 1, "owned_by": "library"} for name in names]
        super().__init__(
            {"/": "Ollama is running", "/api/version": {"version": "0.13.1"}, "/api/ps": running,
             "/api/tags": known or running, "/v1/models": {"object": "list", "data": cards or None}},
        )  # fmt: skip


class LmStudio(EngineServer):
    """LM Studio, which answers 200 with an error to every path that it does not know."""

    elsewhere = json_reply({"error": "Unexpected endpoint or method."})

    def __init__(self, v0: Answers | None = None, v1: Answers | None = None) -> None:
        cards = [{"id": "any", "object": "model", "owned_by": "organization_owner"}]
        answers: dict[str, Any] = {"/v1/models": {"object": "list", "data": cards}}
        super().__init__(
            answers | ({"/api/v0/models": v0} if v0 else {}) | ({"/api/v1/models": v1} if v1 else {})
        )
