"""Ways to make counterfactuals: functions `(problem, *, options) -> Solution`, one a file, found by name."""
