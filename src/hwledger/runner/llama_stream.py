"""The streams of ``llama-server``: ``/completion`` and ``/v1/chat/completions``, event by event.

Sources: llama.cpp ``tools/server/server-task.cpp`` and ``server-context.cpp``, b4000 to b11549: an event is a
line ``data: {…}``; errors are ``data: {"error": …}`` or ``error: {…}``; the last event holds ``timings``.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from hwledger.errors import EngineError, HwledgerError, UsageError
from hwledger.library.fields import mapping, rows, whole
from hwledger.runner.engine import Ask, Done, Ending, Event, Piece, Progress, Timings

COMPLETION: Final = "/completion"
CHAT: Final = "/v1/chat/completions"
SOURCE: Final = "llama.cpp timings"
LONGEST: Final = 4 << 20
_TOO_LONG: Final = "exceed_context_size_error"
_ENDINGS: Final = {
    "limit": Ending.LENGTH, "length": Ending.LENGTH, "eos": Ending.END, "word": Ending.END,
    "stop": Ending.END, "tool_calls": Ending.END,
}  # fmt: skip


def question(ask: Ask) -> tuple[str, dict[str, Any]]:
    """Return the path and the body of a request."""
    body: dict[str, Any] = {"stream": True, "temperature": ask.temperature, "return_progress": True}
    if ask.seed is not None:
        body["seed"] = ask.seed
    if not ask.chat:
        limit = -1 if ask.max_tokens is None else ask.max_tokens
        return COMPLETION, {**body, "prompt": ask.prompt, "n_predict": limit}
    if ask.max_tokens is not None:
        body["max_tokens"] = ask.max_tokens
    return CHAT, {**body, "messages": [{"role": "user", "content": ask.prompt}]}


def read_events(lines: Iterable[bytes]) -> Iterator[Event]:
    """Yield what a stream says; the last event is ``Done``.

    Raises:
        UsageError: the prompt does not fit into the context.
        EngineError: the server reports an error, ends in the middle, or says what is not understood.
    """
    ending, timings = None, None
    for line in lines:
        found = _object(line)
        if found is None:
            continue
        yield from _pieces(found)
        ending = _ending(found) or ending
        timings = _timings(found.get("timings")) or timings
        if ending is not None and timings is not None:
            break
    if ending is None:
        raise EngineError("llama.cpp broke off its answer")
    yield Done(ending, timings)


def _object(line: bytes) -> Mapping[str, Any] | None:
    """Return what a line holds; ``None`` for empty lines, comments and the mark of the end."""
    head, _, rest = line.strip().partition(b":")
    rest = rest.strip()
    if head not in {b"data", b"error"} or rest == b"[DONE]":
        return None
    try:
        found = json.loads(rest)
    except (ValueError, RecursionError):
        raise EngineError(f"llama.cpp said what is not understood: {rest[:80]!r}") from None
    if head == b"error" or "error" in mapping(found):
        raise refusal(mapping(found).get("error", found))
    return mapping(found)


def refusal(error: object) -> HwledgerError:
    """Return the error that a server's own words stand for."""
    told = mapping(error)
    message = " ".join(str(told.get("message") or "no reason is given").split())[:300]
    if told.get("type") == _TOO_LONG:
        return UsageError(f"the prompt does not fit into the context ({message}); give more --context")
    return EngineError(f"llama.cpp refuses the request: {message}")


def _pieces(found: Mapping[str, Any]) -> Iterator[Event]:
    progress = mapping(found.get("prompt_progress"))
    done, total = whole(progress.get("processed")), whole(progress.get("total"))
    if done is not None and total is not None:
        yield Progress(done + (whole(progress.get("cache")) or 0), total)
        return
    for choice in rows(found.get("choices")):
        delta = mapping(choice.get("delta"))
        yield from _piece(delta.get("reasoning_content"), thinking=True)
        yield from _piece(delta.get("content"))
    yield from _piece(found.get("content"))


def _piece(text: object, *, thinking: bool = False) -> Iterator[Piece]:
    if isinstance(text, str) and text:
        yield Piece(text, thinking)


def _ending(found: Mapping[str, Any]) -> Ending | None:
    reasons = [choice.get("finish_reason") for choice in rows(found.get("choices"))]
    if found.get("stop") is True:
        reasons.append(found.get("stop_type") or "eos")
    told = [str(reason) for reason in reasons if reason]
    return _ENDINGS.get(told[-1], Ending.END) if told else None


def _timings(found: object) -> Timings | None:
    told = mapping(found)
    prompt, output = whole(told.get("prompt_n")), whole(told.get("predicted_n"))
    if prompt is None or output is None:
        return None
    return Timings(
        prompt, whole(told.get("cache_n")) or 0, output,
        _rate(told.get("prompt_per_second"), prompt), _rate(told.get("predicted_per_second"), output), SOURCE,
    )  # fmt: skip


def _rate(found: object, count: int) -> float | None:
    """Return a speed; ``None`` where nothing was counted or what is told is none."""
    if not count or isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return float(found) if math.isfinite(found) and found > 0 else None
