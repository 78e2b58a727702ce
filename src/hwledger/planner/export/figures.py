"""The numbers behind a setting, as sentences, and the lines that say what a plan needs."""

from hwledger.planner.fit import Verdict
from hwledger.planner.memory import Category
from hwledger.planner.plan import DevicePlan, Plan
from hwledger.units import format_bytes


def fullest(plan: Plan) -> DevicePlan | None:
    """Return the device with the least room, or the largest share where no device was given.

    ``None`` where the processor does everything.
    """
    return max(
        plan.devices,
        key=lambda d: d.total_bytes / d.usable_bytes if d.usable_bytes else d.total_bytes,
        default=None,
    )


def on_device(plan: Plan, category: Category) -> int:
    """Return the bytes of a category on the fullest device; in host memory where there is none."""
    device = fullest(plan)
    return device.by_category[category] if device else plan.by_category[category]


def need(plan: Plan) -> str:
    """Return what the plan takes, for the head of an export."""
    device, count = fullest(plan), len(plan.devices)
    host = f"Host memory: {format_bytes(plan.host_bytes)}." if plan.host_bytes else ""
    if device is None:
        return f"On the processor alone. {host}"
    parts = ", ".join(
        f"{category.value.replace('_', ' ')} {format_bytes(size)}"
        for category, size in device.by_category.items()
        if size
    )
    name = "an accelerator" if device.usable_bytes is None else device.name
    where = f"the fullest of {count} ({name})" if count > 1 else name
    return f"On {where}: {format_bytes(device.total_bytes)} ({parts}). {host}".strip()


def room(plan: Plan) -> str:
    """Return how the plan fits, in one sentence."""
    if plan.fit is None:
        return "No device was given, so it is not known whether it fits."
    if plan.fit.verdict is Verdict.DOES_NOT_FIT:
        return f"It does NOT fit: {plan.fit.missing} are missing."
    tight = ", tightly" if plan.fit.verdict is Verdict.TIGHT else ""
    return f"It fits{tight}: {format_bytes(plan.fit.headroom_bytes)} to spare on the fullest device."


def taken(plan: Plan) -> str:
    """Return what of a device the plan takes."""
    device = fullest(plan)
    if device is None or not device.capacity_bytes:
        return "the engine's own choice, as no device was given"
    whole = plan.request.devices[0].usable_bytes if plan.request.devices else device.capacity_bytes
    return f"the plan takes {format_bytes(device.total_bytes)} of {format_bytes(whole)}"


def context(plan: Plan) -> str:
    """Return why the context is what it is: what one request of it takes."""
    memory = plan.memory
    size = format_bytes(memory.bytes_per_request)
    return f"{memory.context_tokens:,} tokens a request: its KV cache and state take {size}"


def requests(plan: Plan) -> str:
    """Return what the requests at once take."""
    kept = sum(plan.by_category[c] for c in (Category.KV_CACHE, Category.STATE))
    count = plan.memory.concurrency
    plural = "s" if count > 1 else ""
    return f"{count:,} request{plural} of full length at once: {format_bytes(kept)} of KV cache and state"


def weights(plan: Plan) -> str:
    """Return what the weights take on the fullest device."""
    where = "on the fullest device" if len(plan.devices) > 1 else ""
    return f"{format_bytes(on_device(plan, Category.WEIGHTS))} of weights {where}".strip()


def per_token(plan: Plan) -> str:
    """Return what one token more costs in the cache's type."""
    return f"one token more costs {format_bytes(plan.memory.kv_cache_bytes_per_token)}"


def scratch(plan: Plan) -> str:
    """Return the scratch memory of one batch on the fullest device."""
    return f"buffers of {format_bytes(on_device(plan, Category.COMPUTE))} for a batch of that size"
