"""How ranks of vLLM can share a model: tensor, pipeline, data and expert parallelism."""

from collections.abc import Iterator, Mapping

from hwledger.model.channel import MixtureOfExperts
from hwledger.model.spec import ModelSpec
from hwledger.planner.request import OptionValue


def parallel_layouts(spec: ModelSpec, count: int) -> Iterator[Mapping[str, OptionValue]]:
    """Yield the options of every way in which ``count`` devices share the model.

    Tensor ranks divide the query heads of every layer (vLLM 0.33.0 ``config/model.py``
    ``verify_with_parallel_config``); pipeline ranks have a layer each at least; data-parallel ranks are not
    split into a pipeline too. Experts are sliced, or whole per rank where there is more than one.
    """
    moe = any(isinstance(layer.channel, MixtureOfExperts) for layer in spec.layers)
    for tp in (n for n in range(1, count + 1) if count % n == 0 and divides_heads(spec, n)):
        rest = count // tp
        for pp, dp in dict.fromkeys([(rest, 1), (1, rest)]):
            if pp > len(spec.layers):
                continue
            sizes: dict[str, OptionValue] = {
                "tensor_parallel_size": tp, "pipeline_parallel_size": pp, "data_parallel_size": dp,
            }  # fmt: skip
            yield sizes
            if moe and tp * dp > 1:
                yield {**sizes, "enable_expert_parallel": True}


def divides_heads(spec: ModelSpec, ranks: int) -> bool:
    """Whether so many tensor ranks divide the query heads of every layer."""
    mixers = (mixer for layer in spec.layers for mixer in layer.mixers)
    return all(getattr(mixer, "query_heads", ranks) % ranks == 0 for mixer in mixers)
