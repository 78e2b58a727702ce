"""Models that are on this machine already, in the places where other programs keep them."""
