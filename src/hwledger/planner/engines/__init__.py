"""Engine profiles: how each inference engine turns a model and a workload into memory."""
