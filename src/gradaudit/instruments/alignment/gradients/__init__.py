"""What is differentiated: functions `(classifier, images, targets) -> gradients`, one a file, found by name."""
