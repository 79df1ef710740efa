"""What gradients are compared with: functions `(score, targets) -> scores`, one a file, found by name.

`score(labels)` gives the score (N, C, H, W) of the noisy data at the points where the gradients were taken: given their classes,
int64 (N,), or for None the unconditional one. It is computed once, however many functions ask for it.
"""
