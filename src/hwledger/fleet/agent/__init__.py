"""The agent: what runs on a host of the fleet. It needs nothing of the server."""
