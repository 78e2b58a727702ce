"""From limits to answers: the largest context, the users, the quantisation, the devices, the split."""
