"""Engines that are Python packages, each in a process of its own, over JSON-RPC on its standard streams."""
