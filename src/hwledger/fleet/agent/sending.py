"""Sends what is in the spool: oldest first, one request at a time, deleted when the server has it."""

from typing import Final

import orjson

from hwledger.fleet.agent.client import Client, RefusedError
from hwledger.fleet.agent.producing import Producer
from hwledger.fleet.agent.spool import EVENT, TELEMETRY, Item, Spool

EVENTS_AT_ONCE: Final = 128
EVENT_BYTES_AT_ONCE: Final = 400_000
_ALONE: Final = 1


class Sender:
    """Empties a spool into a server.

    Args:
        spool: what waits.
        client: the server.
        producer: tells of what the server will never take.
        host: the id of this host.
    """

    def __init__(self, spool: Spool, client: Client, producer: Producer, host: str) -> None:
        self._spool, self._client, self._producer, self._host = spool, client, producer, host

    def send(self, most: int) -> int:
        """Send events, then telemetry, in at most so many requests; return how many there were.

        Raises:
            UnreachableError: the server does not answer; what was not answered for stays.
            FullError: what was sent could not be deleted; it is sent again, which changes nothing.
        """
        for count in range(most):
            events = self._spool.oldest(EVENT, EVENTS_AT_ONCE, EVENT_BYTES_AT_ONCE)
            if events:
                self._send_events(events)
                continue
            batches = self._spool.oldest(TELEMETRY, _ALONE, 1)
            if not batches:
                return count
            self._send_batch(batches[0])
        return most

    def _send_events(self, events: list[Item]) -> None:
        """Send events together; where the server refuses them, one by one, to find out which."""
        try:
            self._post(events)
        except RefusedError as error:
            if not error.final:
                raise
            if len(events) == _ALONE:
                self._give_up(events[0], error)
                return
            for one in events:
                self._send_events([one])

    def _post(self, events: list[Item]) -> None:
        self._client.post("/a/v1/events", {"events": [orjson.loads(one.body) for one in events]})
        self._spool.remove(events)

    def _give_up(self, item: Item, error: RefusedError) -> None:
        """Delete an event that the server will never take, and say so with another."""
        found = orjson.loads(item.body)
        self._spool.drop(item, "refused event")
        if not str(found.get("type", "")).startswith("fleet.agent.event_refused."):
            told = {"host": self._host, "event": str(found.get("id")), "reason": error.detail[:500]}
            self._producer.add("agent.event_refused", f"host/{self._host}", told)

    def _send_batch(self, batch: Item) -> None:
        try:
            self._client.post_packed("/a/v1/telemetry", batch.body)
        except RefusedError as error:
            if not error.final:
                raise
            self._spool.drop(batch, "refused telemetry")
            return
        self._spool.remove([batch])
