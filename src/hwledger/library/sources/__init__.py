"""The built-in sources; each registers through the entry points that third parties use."""
