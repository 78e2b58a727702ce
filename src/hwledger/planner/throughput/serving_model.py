"""The serving model: the time of a decoding step, of a prompt, and what a request sees of both.

Arithmetic alone, so that the same lines answer for one case and fit many at once. The baseline is the
published one (in-flight batching: other requests' prompts interleave with decoding); the constants are
those of ``data/serving_constants.csv``, fitted by ``tools/fit_serving.py``.
"""

from dataclasses import dataclass

from hwledger.planner.throughput.serving_loads import Loads


@dataclass(frozen=True, slots=True, kw_only=True)
class Multipliers:
    """The fitted constants as they apply to one case; shares are of a peak, seconds are seconds.

    Attributes:
        dense_share, expert_share, cache_share: of the memory bandwidth.
        decode_rate_share, prefill_rate_share, prefill_attention_share: of the dense rate.
        link_share: of the link's bandwidth.
        layer_seconds, moe_layer_seconds, state_layer_seconds, indexer_layer_seconds: launches and waits of
            a layer in a decoding step; prefill_layer_seconds: in a step with a prompt, without CUDA graphs.
        hop_seconds: latency of one all-reduce.
        step_seconds, request_seconds: of scheduling and sampling, per step and per request in it.
        state_share: recurrent state that is really moved.
        routing: share of a batch that routes independently; imbalance: of expert-parallel ranks.
        prefill_scaling, decode_scaling: power of the devices by which compute falls.
        overlap: 1 more than this is the norm in which reading and computing add up.
        interleave: share of other prompts' time that delays a decoding request.
        joint: share of a prompt's fixed costs that it pays although it is batched with others.
        answer_seconds: request handling around the first token; prompt_passes, answer_steps: prompts'
            and steps' worth of time until it.
        queue: prompts of other requests before one's own; queue_decay: power by which long answers thin them.
    """

    dense_share: float
    expert_share: float
    cache_share: float
    decode_rate_share: float
    prefill_rate_share: float
    prefill_attention_share: float
    link_share: float
    layer_seconds: float
    moe_layer_seconds: float
    state_layer_seconds: float
    indexer_layer_seconds: float
    prefill_layer_seconds: float
    hop_seconds: float
    step_seconds: float
    request_seconds: float
    state_share: float
    routing: float
    imbalance: float
    prefill_scaling: float
    decode_scaling: float
    overlap: float
    interleave: float
    joint: float
    answer_seconds: float
    prompt_passes: float
    answer_steps: float
    queue: float
    queue_decay: float


@dataclass(frozen=True, slots=True)
class Step:
    """The parts of a decoding step in seconds; ``memory`` and ``compute`` overlap, the rest adds.

    ``copies`` are weights that are read from host memory.
    """

    memory: float
    compute: float
    overlapped: float
    links: float
    launches: float
    copies: float = 0.0

    @property
    def seconds(self) -> float:
        """The whole step."""
        return self.overlapped + self.links + self.launches + self.copies


@dataclass(frozen=True, slots=True)
class Prompt:
    """Prefilling one prompt.

    Attributes:
        seconds: alone.
        marginal: what it adds to a step that is made anyway.
    """

    seconds: float
    marginal: float


@dataclass(frozen=True, slots=True)
class Served:
    """What one request sees.

    Attributes:
        ttft, tpot: seconds.
        step: a decoding step without prompts in it.
        prompt: prefilling one prompt.
        life: seconds from the first prefilled token to the last answer token.
        waiting: seconds in the queue because memory does not hold all requests.
    """

    ttft: float
    tpot: float
    step: Step
    prompt: Prompt
    life: float
    waiting: float


def decode_step(x: Loads, k: Multipliers, running: float) -> Step:
    """Return one decoding step of ``running`` requests over all replicas.

    With p pipeline stages each carries 1/p of the layers and a p-th of the requests at a time, but never less
    than one; a token passes all of them, so the sizes are those of one stage's devices with that share of
    the batch.
    With speculation a step verifies the drafted tokens beside the sure one, and each draft passes one layer.
    """
    staged = 1.0 + _excess(running / x.stages, 1.0)
    batch = staged / x.replicas
    drafts = 1.0 + x.draft_share
    covered = 1.0 - (1.0 - x.active_share) ** (staged * x.verified * k.routing)
    touched = x.experts_per_rank * covered + 1.0
    uneven = 1.0 + k.imbalance * (x.spread / touched) ** 0.5
    memory = (
        x.dense_seconds / k.dense_share
        + x.expert_seconds * covered * uneven / k.expert_share
        + batch * (x.cache_seconds + x.state_seconds * k.state_share) / k.cache_share
    ) * drafts + x.draft_seconds / k.dense_share
    compute = (
        staged * x.matrix_seconds / x.devices**k.decode_scaling
        + batch * x.attention_seconds / x.ranks**k.decode_scaling
    ) * (x.verified * drafts / k.decode_rate_share)
    norm = 1.0 + k.overlap
    return Step(
        memory=memory,
        compute=compute,
        overlapped=(memory**norm + compute**norm) ** (1.0 / norm),
        links=(x.hops * k.hop_seconds + batch * x.verified * x.wire_seconds / k.link_share) * drafts,
        launches=drafts
        * (
            x.layers * (k.layer_seconds + x.eager * _excess(k.prefill_layer_seconds, k.layer_seconds))
            + x.moe_layers * k.moe_layer_seconds
            + x.state_layers * k.state_layer_seconds
            + x.indexer_layers * k.indexer_layer_seconds
        )
        + k.step_seconds * x.stages
        + batch * k.request_seconds,
        copies=x.copy_seconds,
    )


def _excess(value: float, over: float) -> float:
    """Return by how much a value is larger, at least 0; of arrays too."""
    return (value - over + abs(value - over)) / 2.0


def prefill_prompt(x: Loads, k: Multipliers) -> Prompt:
    """Return the time of one prompt: operations beside the weights that a step reads, links, launches."""
    operations = (
        x.prefill_matrix_seconds / x.devices**k.prefill_scaling / k.prefill_rate_share
        + x.prefill_attention_seconds / x.ranks**k.prefill_scaling / k.prefill_attention_share
    )
    wire = x.prompt_tokens * x.wire_seconds / k.link_share
    covered = 1.0 - (1.0 - x.active_share) ** x.prompt_tokens
    reading = (x.dense_seconds + x.expert_seconds * covered) / k.expert_share
    launches = x.layers * k.prefill_layer_seconds + x.hops * k.hop_seconds
    alone = (operations**2 + reading**2) ** 0.5 + wire + launches
    own = operations + wire
    return Prompt(seconds=alone + x.prompt_copy_seconds, marginal=(own + k.joint * (alone - own)) / x.stages)


def serve(x: Loads, k: Multipliers) -> Served:
    """Return what one of ``x.requests`` users sees who ask again as soon as they are answered.

    TPOT is (total - TTFT) / (tokens - 1). While one answer is made, every other running request starts
    once. Requests that memory does not hold wait for their turn in the running ones' lives. A scheduler that
    looks for prompts, or starts them, only every so many steps makes each wait for those.
    """
    step = decode_step(x, k, x.running)
    prompt = prefill_prompt(x, k)
    others = (x.running - 1.0) / x.replicas
    tpot = step.seconds / x.yielded + others / x.output_tokens * k.interleave * prompt.marginal
    life = x.output_tokens * tpot + prompt.seconds
    waiting = (x.requests - x.running) / x.running * life
    behind = _excess(x.running / x.replicas, 1.0)
    queued = k.queue * behind * prompt.marginal * (x.output_tokens / 1024.0) ** (-k.queue_decay)
    first = k.answer_seconds + k.prompt_passes * prompt.seconds + k.answer_steps * step.seconds
    held = x.held_steps * step.seconds
    return Served(
        ttft=first + held + queued + waiting, tpot=tpot, step=step, prompt=prompt, life=life, waiting=waiting
    )
