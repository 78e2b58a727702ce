"""From a reference to a ModelSpec: sources, header readers, config readers, the catalogue."""
