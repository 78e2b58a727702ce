"""How llama.cpp turns what was asked into the context that it allocates.

Source: llama.cpp b11063 and b11549 ``src/llama-context.cpp``, constructor of ``llama_context``; default
values: ``common/common.h`` ``common_params``.
"""

from dataclasses import dataclass

from hwledger.errors import UsageError
from hwledger.model.number_types import NumberType
from hwledger.units import round_up

PAD = 256
MAX_SEQUENCES = 256  # LLAMA_MAX_SEQ in src/llama-cparams.h
FINE_PAD = 32
FINE_PAD_BEFORE = 6900
"""Builds before late 2025 padded to 32 cells where flash attention was off (seen at b4615)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What was asked of the context; the names are llama.cpp's.

    Attributes:
        n_ctx: tokens over all sequences.
        n_batch, n_ubatch: logical and physical batch.
        n_seq_max: parallel sequences.
        kv_unified: one buffer of cells for all sequences.
        flash_attn: attention in one kernel.
        type_k, type_v: number types of the cache.
        swa_full: sliding layers keep the whole context.
        n_outputs_max: tokens of a batch whose logits are wanted; 0: all.
        n_rs_seq: states kept per sequence for roll-back.
        offload_kqv: the cache lives beside its layer.
    """

    n_ctx: int
    type_k: NumberType
    type_v: NumberType
    n_batch: int = 2048
    n_ubatch: int = 512
    n_seq_max: int = 1
    kv_unified: bool = False
    flash_attn: bool = True
    swa_full: bool = False
    n_outputs_max: int = 1
    n_rs_seq: int = 0
    offload_kqv: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedContext:
    """A context as llama.cpp allocates it.

    Attributes:
        n_ctx: cells over all sequences.
        n_ctx_seq: cells of one stream, the most that one sequence can use.
        streams: separate buffers of cells: one where unified, one per sequence otherwise.
        n_outputs_max: tokens of a physical batch whose logits are reserved.
        pad: cells that cache sizes are multiples of.

    The others are as in ``Wanted``, after clamping.
    """

    n_ctx: int
    n_ctx_seq: int
    streams: int
    n_seq_max: int
    n_batch: int
    n_ubatch: int
    kv_unified: bool
    flash_attn: bool
    type_k: NumberType
    type_v: NumberType
    swa_full: bool
    n_outputs_max: int
    n_rs_seq: int
    offload_kqv: bool
    pad: int = PAD

    def window_cells(self, window: int) -> int:
        """Cells of one stream of a layer that looks back ``window`` tokens.

        llama.cpp b11549 ``src/llama-kv-cache-iswa.cpp``: the window of every sequence in the buffer and
        one physical batch, padded to 256, and no more than the whole context.
        """
        if self.swa_full:
            return self.n_ctx_seq
        needed = window * (self.n_seq_max if self.kv_unified else 1) + self.n_ubatch
        return round_up(lesser(self.n_ctx_seq, needed), self.pad)


def lesser(left: int, right: int) -> int:
    """Return the smaller of two numbers, or of two arrays element by element (hence no branch)."""
    return (left + right - abs(left - right)) // 2


def resolve(wanted: Wanted, build: int) -> ResolvedContext:
    """Return the context that llama.cpp allocates.

    Batches are clamped to the unpadded context; then the context is padded to 256 cells, and where the
    buffer is not unified each sequence's share is padded again.

    Raises:
        UsageError: the settings contradict each other.
    """
    _check(wanted)
    pad = FINE_PAD if build < FINE_PAD_BEFORE and not wanted.flash_attn else PAD
    n_batch = lesser(wanted.n_ctx, wanted.n_batch)
    n_ubatch = lesser(n_batch, wanted.n_ubatch)
    n_ctx = round_up(wanted.n_ctx, pad)
    streams = 1 if wanted.kv_unified else wanted.n_seq_max
    n_ctx_seq = n_ctx if streams == 1 else round_up(n_ctx // streams, pad)
    return ResolvedContext(
        n_ctx=n_ctx_seq * streams, n_ctx_seq=n_ctx_seq, streams=streams, n_seq_max=wanted.n_seq_max,
        n_batch=n_batch, n_ubatch=n_ubatch, kv_unified=wanted.kv_unified, flash_attn=wanted.flash_attn,
        type_k=wanted.type_k, type_v=wanted.type_v, swa_full=wanted.swa_full,
        n_outputs_max=lesser(wanted.n_outputs_max or n_batch, n_batch), n_rs_seq=wanted.n_rs_seq,
        offload_kqv=wanted.offload_kqv, pad=pad,
    )  # fmt: skip


def _check(wanted: Wanted) -> None:
    if not 1 <= wanted.n_seq_max <= MAX_SEQUENCES:
        raise UsageError(
            f"llama.cpp serves 1 to {MAX_SEQUENCES} sequences at once and n_parallel is {wanted.n_seq_max}; "
            "ask for fewer"
        )
    if wanted.type_v.block > 1 and not wanted.flash_attn:
        raise UsageError(
            f"llama.cpp keeps V as {wanted.type_v.name} only with flash attention; "
            "set flash_attn=on or cache_type_v=f16"
        )
