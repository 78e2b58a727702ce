"""Accelerators and the memory that programs can really use of them. Pure data, no I/O."""
