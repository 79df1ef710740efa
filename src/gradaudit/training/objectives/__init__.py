"""Objectives by name: one function `(classifier, images, labels) -> loss` a file."""
