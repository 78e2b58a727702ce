"""The fleet: who belongs to it, what its hosts tell, and what they are told."""
