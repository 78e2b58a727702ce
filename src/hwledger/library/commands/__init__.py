"""Command lines that run a model, read as what they run: ``vllm serve``, ``llama-server`` and others."""

from hwledger.library.commands.reading import is_command, read_command

__all__ = ["is_command", "read_command"]
