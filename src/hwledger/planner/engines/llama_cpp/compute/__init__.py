"""The compute buffers of llama.cpp: what its worst-case graph takes, with an interval.

``shape`` says what the graph depends on, ``rules`` holds the closed forms, ``placement`` spreads the graph
over devices, ``builds`` and ``intervals`` say for which build and how closely, ``estimate`` puts them
together, ``accuracy`` compares with measured contexts (not imported here: it is for reports alone), and
``from_model`` reads the shape off a ModelSpec.
"""

from hwledger.planner.engines.llama_cpp.compute.estimate import (
    ComputeBuffers,
    ComputeEstimate,
    estimate_compute,
)
from hwledger.planner.engines.llama_cpp.compute.from_model import graph_of_model
from hwledger.planner.engines.llama_cpp.compute.placement import Offload, Placement
from hwledger.planner.engines.llama_cpp.compute.shape import (
    AttentionGraph,
    FeedForwardGraph,
    GraphShape,
    LayerGraph,
    StateGraph,
    StateKind,
)

__all__ = [
    "AttentionGraph",
    "ComputeBuffers",
    "ComputeEstimate",
    "FeedForwardGraph",
    "GraphShape",
    "LayerGraph",
    "Offload",
    "Placement",
    "StateGraph",
    "StateKind",
    "estimate_compute",
    "graph_of_model",
]
