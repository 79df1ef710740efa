"""How alike two maps are: functions `(gradients, scores) -> values (N,)`, 1 for the same direction, one a file, found by name."""
