"""What is asked of an engine profile: the model, the workload, the engine's options and the devices."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hwledger.device.spec import DeviceSpec
from hwledger.model.spec import ModelSpec

if TYPE_CHECKING:
    from hwledger.device.node import Node

OptionValue = bool | int | float | str | tuple[float, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Who uses the model and how.

    Attributes:
        context_tokens: tokens of one request, prompt and answer together.
        concurrency: requests at the same time.
    """

    context_tokens: int
    concurrency: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One question to an engine profile.

    Attributes:
        spec: the model.
        workload: what the user asked for; ``context_tokens`` is already resolved to a number.
        version: engine version (``0.33.0``, ``b11434``).
        options: the engine's options that the user set, parsed; unset ones are absent.
        weights: number type or quantisation to re-plan the weights in; ``None``: as in the source.
        kv_cache: number type of the KV cache; ``None``: the engine's default.
        devices: the accelerators, in order; empty: one of unknown size.
        node: the node that was named, whose host and links count; ``None``: of the host nothing is known.
    """

    spec: ModelSpec
    workload: Workload
    version: str
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    weights: str | None = None
    kv_cache: str | None = None
    devices: tuple[DeviceSpec, ...] = ()
    node: "Node | None" = None
