"""From a model, a workload, an engine and devices to a plan. Pure: no I/O, no clock."""
