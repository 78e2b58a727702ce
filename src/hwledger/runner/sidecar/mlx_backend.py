"""mlx-lm within a sidecar: a prompt in steps short enough to be given up, and a cache as large as planned.

Sources: mlx-lm 0.32.2 ``mlx_lm/generate.py`` (``generate_step``, ``wired_limit``),
``mlx_lm/models/cache.py``.
"""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from hwledger.runner.packages import package
from hwledger.runner.sidecar.backend import NO_MODEL, Job, ended
from hwledger.runner.sidecar.mlx_prompts import Prompts
from hwledger.runner.sidecar.pace import Pace
from hwledger.runner.sidecar.pieces import Pieces
from hwledger.runner.sidecar.protocol import Code, SidecarError

STEP: Final = 256
"""Tokens by which mlx-lm's caches grow (``KVCache.step``)."""


class MlxBackend:
    """Satisfies ``Backend``."""

    name = "mlx"

    def __init__(self) -> None:
        self._model: Any = None
        self._tokenizer: Any = None
        self._caches: list[Any] = []
        self._held: list[int] = []
        self._weights_bytes = 0
        self._context = 0
        self._most_step = STEP
        self._taken_step = 0
        self._prompts = Prompts()

    def version(self) -> str:
        """Return that of mlx-lm; MLX has another."""
        return package("mlx-lm")

    def load(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Load a model, and make its cache."""
        import mlx.core as mx  # noqa: PLC0415 - an engine is imported when it is wanted
        from mlx.utils import tree_flatten  # noqa: PLC0415
        from mlx_lm.utils import load  # noqa: PLC0415

        folder = _folder(params)
        self._model, self._tokenizer = load(str(folder))[:2]
        self._weights_bytes = sum(array.nbytes for _, array in tree_flatten(self._model.parameters()))
        self._context = int(params["context"])
        self._most_step = int(params.get("prefill_step") or STEP)
        mx.clear_cache()
        self._make_caches()
        mx.reset_peak_memory()
        device = "gpu" if mx.default_device().type == mx.DeviceType.gpu else "cpu"
        versions = f"mlx {package('mlx')}, mlx-lm {self.version()}"
        self._prompts = Prompts.of({**params, "folder": folder}, self._caches, device, versions)
        return {"context": self._context, "device": device, "notes": []}

    def _make_caches(self) -> None:
        """Make the caches of one request; plain ones as large as the context, so that they never grow."""
        import mlx.core as mx  # noqa: PLC0415
        from mlx_lm.models.cache import KVCache, make_prompt_cache  # noqa: PLC0415

        self._caches = make_prompt_cache(self._model)
        self._held = []
        if not all(type(each) is KVCache for each in self._caches):
            return
        self._model(mx.array([[0]]), cache=self._caches)
        mx.eval([each.state[:2] for each in self._caches])
        rows = -(-self._context // STEP) * STEP
        for each in self._caches:
            each.keys, each.values = (_zeros(mx, array, rows) for array in (each.keys, each.values))
            each.offset = 0
        mx.eval([each.state[:2] for each in self._caches])
        mx.clear_cache()

    @property
    def _plain(self) -> bool:
        return bool(self._caches) and all(type(each).__name__ == "KVCache" for each in self._caches)

    def unload(self) -> dict[str, Any]:
        """Let go of the model."""
        import mlx.core as mx  # noqa: PLC0415

        self._prompts.close()
        self._model = self._tokenizer = None
        self._caches, self._held, self._weights_bytes = [], [], 0
        mx.clear_cache()
        return {}

    def generate(self, job: Job) -> dict[str, Any]:
        """Answer."""
        if self._model is None:
            raise SidecarError(NO_MODEL, Code.NOT_LOADED)
        tokens = self._prompt_tokens(job)
        room = self._context - len(tokens)
        if room < 1:
            raise SidecarError(
                f"the prompt of {len(tokens)} tokens does not fit into the context of {self._context};"
                " give more --context", Code.USAGE,
            )  # fmt: skip
        begun = time.perf_counter()
        try:
            cached = self._reuse(tokens)
            if not self._take_in(tokens, cached, job):
                return ended("cancelled", len(tokens) - cached, 0, (time.perf_counter() - begun, 0.0), cached)
            return self._decode(tokens, cached, room, job, begun)
        except BaseException:
            self._make_caches()  # what is in them is not known any more
            raise

    def _prompt_tokens(self, job: Job) -> list[int]:
        if not job.chat:
            return self._tokens(job.prompt)
        if self._tokenizer.chat_template is None:
            raise SidecarError("the model has no chat template; leave --chat out", Code.USAGE)
        messages = [{"role": "user", "content": job.prompt}]
        found = self._tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
        return [int(each) for each in found]

    def _tokens(self, text: str) -> list[int]:
        """Return the tokens of a text, with what the tokenizer puts before them; at least one."""
        found = [int(each) for each in self._tokenizer.encode(text)]
        return found or [int(self._tokenizer.bos_token_id or self._tokenizer.eos_token_id or 0)]

    def tokenize(self, text: str) -> dict[str, Any]:
        """Return the tokens of a text."""
        if self._tokenizer is None:
            raise SidecarError(NO_MODEL, Code.NOT_LOADED)
        return {"tokens": [int(each) for each in self._tokenizer.encode(text)]}

    def _reuse(self, tokens: Sequence[int]) -> int:
        """Set the caches to what they and the disk hold of a prompt; return how many tokens that is."""
        if not self._plain:
            self._make_caches()
            return 0
        most = min(len(tokens) - 1, len(self._held))
        same = next((at for at in range(most) if tokens[at] != self._held[at]), most)
        for each in self._caches:
            each.offset = same
        self._held = list(tokens[:same])
        restored = self._prompts.restore(tokens, same, self._caches)
        self._held = list(tokens[: max(same, restored)])
        return len(self._held)

    def _take_in(self, tokens: Sequence[int], done: int, job: Job) -> bool:
        """Compute all tokens of a prompt but the last; ``False``: it was cancelled."""
        import mlx.core as mx  # noqa: PLC0415
        from mlx_lm.generate import generation_stream  # noqa: PLC0415

        pace = Pace(self._most_step)
        job.progress(done, len(tokens))
        while done < len(tokens) - 1:
            if job.cancelled.is_set():
                return False
            size = pace.step(len(tokens) - 1 - done)
            begun = time.perf_counter()
            with mx.stream(generation_stream):
                self._model(mx.array(tokens[done : done + size])[None], cache=self._caches)
                mx.eval([each.state for each in self._caches])
            mx.clear_cache()
            pace.took(size, time.perf_counter() - begun)
            self._taken_step = max(self._taken_step, size)
            done += size
            self._held = list(tokens[:done])
            job.progress(done, len(tokens))
        if self._plain:
            self._prompts.keep(tokens, done, self._caches)
        return True

    def _decode(
        self, tokens: Sequence[int], cached: int, room: int, job: Job, begun: float
    ) -> dict[str, Any]:
        """Answer after all tokens but the last are in the caches."""
        wanted = room if job.max_tokens is None else min(room, job.max_tokens)
        pieces = Pieces(self._tokenizer.decode, tokens)
        made: list[int] = []
        first = ending = None
        for token in self._sampled(tokens, wanted, job):
            first = first or time.perf_counter()
            if job.cancelled.is_set():
                ending = "cancelled"
                break
            if token in self._tokenizer.eos_token_ids:
                ending = "end"
                break
            if not made:
                job.progress(len(tokens), len(tokens))
            made.append(token)
            job.piece(pieces.add(token), token)
            if len(made) == wanted:
                break
        job.piece(pieces.rest(), None)
        now = time.perf_counter()
        self._held = [*tokens, *made][: self._caches[0].offset] if self._plain else []
        seconds = ((first or now) - begun, now - (first or now))
        return ended(ending or "length", len(tokens) - cached, len(made), seconds, cached)

    def _sampled(self, tokens: Sequence[int], wanted: int, job: Job) -> Iterator[int]:
        import mlx.core as mx  # noqa: PLC0415
        from mlx_lm.generate import generate_step, generation_stream, wired_limit  # noqa: PLC0415
        from mlx_lm.sample_utils import make_sampler  # noqa: PLC0415

        if job.seed is not None:
            mx.random.seed(job.seed)
        steps = generate_step(
            mx.array(tokens[-1:]), self._model, max_tokens=wanted, sampler=make_sampler(temp=job.temperature),
            prompt_cache=self._caches,
        )  # fmt: skip
        with wired_limit(self._model, [generation_stream]), contextlib.closing(steps):
            for token, _ in steps:
                yield int(token)

    def memory(self) -> dict[str, Any]:
        """Return what MLX counts: arrays of weights and caches, and the most that was held beside them."""
        import mlx.core as mx  # noqa: PLC0415

        if self._model is None:
            raise SidecarError(NO_MODEL, Code.NOT_LOADED)
        kv = sum(_bytes_of(each) for each in self._caches)
        gpu = mx.default_device().type == mx.DeviceType.gpu
        whole = self._taken_step >= min(self._most_step, self._context - 1)
        whys = {} if self._plain else {"kv_cache_bytes": "the model's caches do not all tell their size"}
        if not whole:
            whys["compute_bytes"] = "no prompt was taken in by steps as large as planned yet"
        return {
            "weights_bytes": self._weights_bytes, "kv_cache_bytes": kv if self._plain else None,
            "compute_bytes": max(0, mx.get_peak_memory() - self._weights_bytes - kv) if whole else None,
            "whys": whys, "active_bytes": mx.get_active_memory(), "peak_bytes": mx.get_peak_memory(),
            "cache_bytes": mx.get_cache_memory(), "kv_tokens": len(self._held),
            "device": "gpu" if gpu else "cpu",
        }  # fmt: skip

    def cache_stats(self) -> dict[str, Any]:
        """Return what is kept of prompts."""
        return self._prompts.stats()


def _folder(params: Mapping[str, Any]) -> Path:
    """Return the folder of a model; one of the hub is fetched, and its files alone that mlx-lm fetches."""
    if Path(params["model"]).is_dir():
        return Path(params["model"])
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - not needed for a folder
    from mlx_lm.utils import DEFAULT_ALLOW_PATTERNS  # noqa: PLC0415 - an engine is imported when it is wanted

    revision = params.get("revision")
    return Path(snapshot_download(params["model"], revision=revision, allow_patterns=DEFAULT_ALLOW_PATTERNS))


def _zeros(mx: Any, like: Any, rows: int) -> Any:
    shape = list(like.shape)
    shape[2] = rows
    return mx.zeros(shape, like.dtype)


def _bytes_of(cache: Any) -> int:
    try:
        return int(cache.nbytes)
    except (NotImplementedError, AttributeError):
        return 0
