"""The server: listeners, routes and what they send; every decision is the fleet's."""
