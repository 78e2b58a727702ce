"""Ollama: its names, the store that it keeps models in, and what its server says."""
