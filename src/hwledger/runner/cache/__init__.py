"""Prompt caches on disk: what a model computed of the beginning of a prompt, kept for the next process."""
