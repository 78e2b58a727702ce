"""What a model is: layers, mixers, tensors, quantisation. Pure data, no I/O."""
