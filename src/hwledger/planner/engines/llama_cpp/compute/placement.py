"""Where a graph runs, and what each device's buffer holds then.

Sources: llama.cpp b11063 planned on one, two and three devices (``llama_get_memory_breakdown``), and
``src/llama-context.cpp`` (pipeline parallelism), ``ggml/src/ggml-backend.cpp`` (copies, op_offload).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from hwledger.planner.engines.llama_cpp.compute.rules import (
    HOST_HIDDEN,
    Place,
    Style,
    device_elements,
    host_elements,
    input_elements,
    logits_elements,
    widest_layer,
)
from hwledger.planner.engines.llama_cpp.compute.shape import GraphShape

PIPELINE_COPIES: Final = 4
"""Copies of every graph input under pipeline parallelism (``GGML_SCHED_MAX_COPIES``)."""

OFFLOAD_MIN_TOKENS: Final = 32
"""Tokens from which a matrix in host memory is copied to a device (CUDA ``op_offload_min_batch_size``)."""


class Offload(StrEnum):
    """How much of the model the devices hold."""

    ALL = "all"
    SOME = "some"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """How a graph is spread.

    Attributes:
        devices: devices that take part; 0: a build without any.
        offload: how many of the layers they hold, the output among them unless ``NONE``.
        copied_bytes: the largest matrix that stays in host memory and is copied for large batches:
            an expert tensor under ``n_cpu_moe``, a layer's matrix under a partial offload.
        output_bytes: the output matrix, which is copied where no layer is offloaded.
        op_offload: such copies are made at all.
        overrides: tensors are placed by hand, which turns pipeline parallelism off.
    """

    devices: int = 1
    offload: Offload = Offload.ALL
    copied_bytes: int = 0
    output_bytes: int = 0
    op_offload: bool = True
    overrides: bool = False

    @property
    def place(self) -> Place:
        """Which closed form holds."""
        return Place.DEVICE if self.devices else Place.CPU

    @property
    def pipelined(self) -> bool:
        """Whether inputs are copied: two devices or more, all layers on them, nothing by hand."""
        return self.devices > 1 and self.offload is Offload.ALL and not self.overrides


def device_bytes(shape: GraphShape, placement: Placement, style: Style) -> tuple[float, ...]:
    """Return the compute buffer of each device, in order; the last one holds the output matrix."""
    unit = 4 * shape.n_tokens
    if placement.pipelined:
        return tuple(unit * one for one in pipeline_elements(shape, placement.devices, style))
    if placement.offload is Offload.NONE:
        return tuple(idle_bytes(shape, placement, style) for _ in range(placement.devices))
    copied = placement.copied_bytes if copies(shape, placement) else 0
    layer = unit * widest_layer(shape, style, Place.DEVICE) + copied
    last = max(unit * logits_elements(shape, style, Place.DEVICE), layer)
    return (layer,) * (placement.devices - 1) + (last,) * (placement.devices > 0)


def copies(shape: GraphShape, placement: Placement) -> bool:
    """Return whether matrices in host memory are copied to a device for this batch."""
    return placement.op_offload and shape.n_tokens >= OFFLOAD_MIN_TOKENS


def pipeline_elements(shape: GraphShape, devices: int, style: Style) -> tuple[float, ...]:
    """Return each device's buffer under pipeline parallelism, in elements per token.

    Every input is there four times, the hidden vectors that come in among them; a device behind
    the first holds the previous one's results four times too.
    """
    spare = (PIPELINE_COPIES - 1) * input_elements(shape, style)
    hidden = PIPELINE_COPIES * shape.n_embd
    layer = widest_layer(shape, style, Place.DEVICE) + spare
    logits = logits_elements(shape, style, Place.DEVICE)
    logits += 2 * hidden + PIPELINE_COPIES * (input_elements(shape, style) + 1)
    middle = layer + 2 * hidden
    return (layer + hidden, *([middle] * (devices - 2)), max(middle, logits))


def idle_bytes(shape: GraphShape, placement: Placement, style: Style) -> float:
    """Return the buffer of a device that holds no layer.

    Large batches still copy weights to it: the output matrix and its logits where logits of 32
    tokens or more are computed, the largest matrix of a layer otherwise.
    """
    if not copies(shape, placement):
        return 0
    unit = 4 * shape.n_tokens
    output = unit * (shape.n_vocab + shape.n_embd) * shape.n_outputs / shape.n_tokens
    wide = placement.output_bytes + output if shape.n_outputs >= OFFLOAD_MIN_TOKENS else 0
    return max(wide, placement.copied_bytes + unit * widest_layer(shape, style, Place.DEVICE))


def host_bytes(shape: GraphShape, placement: Placement, style: Style) -> float:
    """Return the host's compute buffer."""
    unit = 4 * shape.n_tokens
    if not placement.devices:
        return unit * device_elements(shape, style, Place.CPU)
    host = host_elements(shape, style)
    if not placement.pipelined:
        return unit * host
    hidden = HOST_HIDDEN[style] * shape.n_embd
    return unit * (hidden + PIPELINE_COPIES * (host - hidden))
