"""A sweep equals the plans that it stands for."""

from dataclasses import replace

import numpy as np
import pytest

from hwledger.device.catalogue import parse_devices
from hwledger.library.source import open_model
from hwledger.planner.engine import engine_profile
from hwledger.planner.plan import make_request, plan_request
from hwledger.planner.request import Workload
from hwledger.planner.sweep import sweep


@pytest.mark.requirement("NFR-SPEED", "FR-PLAN-FIT")
@pytest.mark.parametrize(
    ("engine", "kv", "weights", "devices"),
    [
        ("llama.cpp", ("f16", "q8_0"), (None, "Q4_K_M"), "RTX 4090"),
        ("vllm", ("auto", "fp8"), (None, "fp8"), "RTX 4090, RTX 4090"),
    ],
)
def test_each_point_equals_the_plan_made_alone(
    engine: str, kv: tuple[str, ...], weights: tuple[str | None, ...], devices: str
) -> None:
    """Bytes per device and the verdict agree at every point of a small sweep."""
    profile = engine_profile(engine)
    request = make_request(open_model("Qwen/Qwen3-30B-A3B"), profile, devices=parse_devices(devices))
    contexts, users = (1000, 32768), (1, 5)
    swept = sweep(request, profile, contexts=contexts, concurrencies=users, kv_caches=kv, weights=weights)
    for w, k, c, u in np.ndindex(*swept.device_bytes.shape[:-1]):
        workload = Workload(context_tokens=contexts[c], concurrency=users[u])
        point = replace(request, weights=weights[w], kv_cache=kv[k], workload=workload)
        alone = plan_request(point, profile)
        assert [d.total_bytes for d in alone.devices] == swept.device_bytes[w, k, c, u].tolist()
        rooms = [d.usable_bytes - d.total_bytes for d in alone.devices if d.usable_bytes is not None]
        assert bool(swept.fits[w, k, c, u]) == (min(rooms) >= 0)
