"""llama.cpp: contexts, caches, placement and compute buffers, checked against libllama itself.

``settings`` and ``context`` settle what was asked, ``cache`` sizes KV and states, ``weights`` and
``placement`` say what goes where, ``compute`` estimates the graph, ``profile`` puts it together.
"""

from typing import Final

from hwledger.planner.engine import EngineProfile
from hwledger.planner.engines.llama_cpp.profile import LlamaCppProfile

profile: Final[EngineProfile] = LlamaCppProfile()

__all__ = ["profile"]
