"""Running engines: the port, what supervises a process, and one adapter per engine."""
