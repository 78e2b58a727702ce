"""The verbs of an agent, but for those that need rooms above the fleet: whoever starts it hands them in."""

from collections.abc import Mapping
from typing import Any, Final

from hwledger.errors import FullError
from hwledger.fleet.agent.loop import Agent
from hwledger.fleet.agent.verbs import Doer

_SHOWN: Final = 1500


def own_doers(agent: Agent) -> dict[str, Doer]:
    """Return what does each verb that an agent does by itself."""
    return {
        "probe": lambda _: _probe(agent),
        "send-inventory": lambda _: _send_inventory(agent),
        "set-sampling": lambda told: _set_sampling(agent, told),
        "renew": lambda _: _renew(agent, "the certificate is renewed now"),
        "rotate": lambda _: _renew(agent, "the certificate and the authorities are renewed now"),
        "stop": lambda _: _stop(agent),
    }


def _probe(agent: Agent) -> str:
    """Take a row now and send it; what is seen is said in short."""
    agent.sampling.take()
    agent.sampling.flush()
    devices = agent.inventory().get("devices", [])
    names = ", ".join(f"{one['key']} {one['name']}".strip() for one in devices)
    return f"{len(devices)} devices{': ' if names else ''}{names}"[:_SHOWN]


def _send_inventory(agent: Agent) -> str:
    agent.want_inventory = True
    agent.hurry()
    return "the inventory is sent with the next heartbeat, now"


def _set_sampling(agent: Agent, told: Mapping[str, Any]) -> str:
    seconds = int(told["step_seconds"])
    try:
        agent.sampling.set_step(seconds)
    except FullError as error:
        return f"telemetry is taken every {seconds} s; the rows before could not be kept ({error})"
    return f"telemetry is taken every {seconds} s"


def _renew(agent: Agent, said: str) -> str:
    """Renew after the answer was given; each renewal brings the authorities of now along."""
    if agent.credentials is None:
        return "this agent has no certificate"
    agent.credentials.want()
    return said


def _stop(agent: Agent) -> str:
    agent.ending.set()
    agent.stopped = True
    return "the agent ends"
