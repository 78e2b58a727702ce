"""mistral.rs within a sidecar.

What it is made to do here (mistral.rs 0.9.5, ``mistralrs.pyi``, and seen): only requests to chat are
streamed, so a bare prompt is one in a role of our own, which the model's template is extended by; a request
ends when its iterator is let go of, which it sees between two tokens; while a prompt is taken in it sees
nothing, so that a request that is cancelled then is answered at once and let go of with its first token.
"""

import json
import queue
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from hwledger.runner.packages import package
from hwledger.runner.sidecar.backend import NO_MODEL, NOTHING_KEPT, Job, ended
from hwledger.runner.sidecar.protocol import Code, SidecarError

RAW: Final = "raw"
"""The role of a message that is no message."""
LOOK_S: Final = 0.05
TEMPLATE: Final = (
    "{{%- if messages[0]['role'] == '"
    + RAW
    + "' -%}}{{{{- messages[0]['content'] -}}}}{{%- else -%}}{}{{%- endif -%}}"
)
NO_TEMPLATE: Final = "{{- raise_exception('the model has no chat template; leave --chat out') -}}"
TYPES: Final = {"F32": "F32", "F16": "F16", "BF16": "BF16"}
WHYS: Final = dict.fromkeys(
    ("weights_bytes", "kv_cache_bytes", "state_bytes", "compute_bytes"), "mistral.rs tells no memory"
)


class MistralBackend:
    """Satisfies ``Backend``."""

    name = "mistral.rs"

    def __init__(self) -> None:
        self._runner: Any = None
        self._context = 0
        self._has_template = False

    def version(self) -> str:
        """Return that of the package."""
        return next(filter(None, map(package, ("mistralrs", "mistralrs-cuda", "mistralrs-metal"))), "")

    def load(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Load a model."""
        import mistralrs  # noqa: PLC0415 - an engine is imported when it is wanted

        folder = _folder(params)
        self._has_template, template = _template(folder)
        with tempfile.NamedTemporaryFile("w", suffix=".jinja", encoding="utf-8") as file:
            file.write(template)
            file.flush()
            kind = getattr(mistralrs.ModelDType, TYPES.get(str(params.get("number_type")), "Auto"))
            self._runner = mistralrs.Runner(
                which=mistralrs.Which.Plain(model_id=str(folder), dtype=kind), max_seqs=1, prefix_cache_n=0,
                jinja_explicit=file.name,
            )  # fmt: skip
        self._context = int(params["context"])
        return {"context": self._context, "device": "cpu" if package("mistralrs") else "gpu", "notes": []}

    def unload(self) -> dict[str, Any]:
        """Refuse: its ``unload_model`` fails, and what it holds goes with the process."""
        raise SidecarError(
            "mistral.rs lets go of a model with its process alone: end the sidecar", Code.USAGE
        )

    def generate(self, job: Job) -> dict[str, Any]:
        """Answer."""
        if self._runner is None:
            raise SidecarError(NO_MODEL, Code.NOT_LOADED)
        room = self._room(job)
        wanted = room if job.max_tokens is None else min(room, job.max_tokens)
        begun, first, count, usage, ending = time.perf_counter(), 0.0, 0, None, "cancelled"
        for chunk in self._streamed(job, wanted):
            first = first or time.perf_counter()
            (choice,) = chunk.choices
            usage, ending = chunk.usage or usage, _ending(choice.finish_reason) or ending
            text = choice.delta.content or getattr(choice.delta, "reasoning_content", None) or ""
            job.piece(text if count else _first_piece(choice, text), None)
            count += 1
        now = time.perf_counter()
        if usage is None or job.cancelled.is_set():
            return ended("cancelled", 0, count, (max(0.0, first - begun), now - (first or now)))
        seconds = float(usage.total_prompt_time_sec), float(usage.total_completion_time_sec)
        return ended(ending, int(usage.prompt_tokens), int(usage.completion_tokens), seconds)

    def _room(self, job: Job) -> int:
        """Return how many tokens fit behind the prompt; what a chat template adds is not counted."""
        if job.seed is not None:
            raise SidecarError("mistral.rs takes no seed with a request: leave --seed out", Code.USAGE)
        if job.chat and not self._has_template:
            raise SidecarError("the model has no chat template; leave --chat out", Code.USAGE)
        prompt = len(self.tokenize(job.prompt)["tokens"])
        if prompt >= self._context:
            raise SidecarError(
                f"the prompt of {prompt} tokens does not fit into the context of {self._context}; give more"
                " --context", Code.USAGE,
            )  # fmt: skip
        return self._context - prompt

    def _streamed(self, job: Job, wanted: int) -> Iterator[Any]:
        """Yield what it says until it ends or nobody wants it; a thread of its own waits for it."""
        import mistralrs  # noqa: PLC0415

        message = {"role": "user" if job.chat else RAW, "content": job.prompt}
        request = mistralrs.ChatCompletionRequest(
            model="default", messages=[message], max_tokens=wanted, temperature=job.temperature, stream=True,
            logprobs=True,
        )  # fmt: skip
        said: queue.SimpleQueue[Any] = queue.SimpleQueue()
        arguments = (self._runner, request, job.cancelled, said)
        threading.Thread(target=_pump, args=arguments, daemon=True).start()
        while not job.cancelled.is_set():
            try:
                chunk = said.get(timeout=LOOK_S)
            except queue.Empty:
                continue
            if isinstance(chunk, BaseException):
                raise chunk
            if chunk is None:
                return
            yield chunk

    def tokenize(self, text: str) -> dict[str, Any]:
        """Return the tokens of a text."""
        if self._runner is None:
            raise SidecarError(NO_MODEL, Code.NOT_LOADED)
        return {"tokens": [int(each) for each in self._runner.tokenize_text(text, True, None)]}

    def memory(self) -> dict[str, Any]:
        """Return that it tells none."""
        return {"device": "cpu" if package("mistralrs") else "gpu", "whys": WHYS}

    def cache_stats(self) -> dict[str, Any]:
        """Return that nothing is kept."""
        return {**NOTHING_KEPT, "why": "mistral.rs gives its cache to nobody"}


def _pump(runner: Any, request: Any, cancelled: threading.Event, said: "queue.SimpleQueue[Any]") -> None:
    """Take what it says; let go of it, and so end the request, as soon as nobody wants it."""
    try:
        for chunk in runner.send_chat_completion_request(request):
            if cancelled.is_set():
                break
            said.put(chunk)
    except Exception as error:  # noqa: BLE001 - it is raised where the request is answered
        said.put(error)
    said.put(None)


def _first_piece(choice: Any, text: str) -> str:
    """Return the first piece whole: it is streamed without the space before it, which its token has."""
    told = getattr(choice.logprobs, "token", None)
    return told if isinstance(told, str) and told.lstrip() == text else text


def _ending(reason: str | None) -> str:
    return "" if reason is None else "length" if reason == "length" else "end"


def _folder(params: Mapping[str, Any]) -> Path:
    """Return the folder of a model; one of the hub is fetched."""
    if Path(params["model"]).is_dir():
        return Path(params["model"])
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - not needed for a folder

    patterns = ["*.json", "*.safetensors", "*.jinja", "*.model"]
    return Path(snapshot_download(params["model"], revision=params.get("revision"), allow_patterns=patterns))


def _template(folder: Path) -> tuple[bool, str]:
    """Return whether a model has a chat template, and it with a way for bare prompts."""
    own = ""
    if (folder / "chat_template.jinja").is_file():
        own = (folder / "chat_template.jinja").read_text("utf-8")
    elif (folder / "tokenizer_config.json").is_file():
        told = json.loads((folder / "tokenizer_config.json").read_text("utf-8")).get("chat_template")
        own = told if isinstance(told, str) else ""
    return bool(own), TEMPLATE.format(own or NO_TEMPLATE)
