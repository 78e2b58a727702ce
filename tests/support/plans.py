"""Plans of small models for engines that run none."""

from dataclasses import replace
from typing import Any

from hwledger.model.origin import Origin, Place
from hwledger.planner.plan import Plan, plan
from support.specs import llama_8b


def small_plan(**asked: Any) -> Plan:
    """Return a plan of a model in a GGUF file on llama.cpp, by the processor alone unless told otherwise."""
    spec = replace(llama_8b(), format="gguf", origin=Origin(place=Place.FILE, name="/models/small.gguf"))
    given = {"engine": "llama.cpp", "context": 256, "options": ["n_gpu_layers=0"], **asked}
    return plan(spec, **given)
