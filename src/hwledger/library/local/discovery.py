"""Every model on this machine, wherever a program keeps it."""

from hwledger.library.lmstudio.store import models as lmstudio_models
from hwledger.library.local.folders import llama_cpp_models, mlx_models
from hwledger.library.local.hub_cache import hub_cache_models
from hwledger.library.local.model import LocalModel
from hwledger.library.ollama.store import models as ollama_models


def local_models() -> list[LocalModel]:
    """Return the models of the hub's cache, Ollama, LM Studio, llama.cpp and MLX, by name."""
    places = (hub_cache_models(), ollama_models(), lmstudio_models(), llama_cpp_models(), mlx_models())
    return sorted((model for place in places for model in place), key=lambda m: (m.name.lower(), m.kind))
