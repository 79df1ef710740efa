"""Attacks and their kin: one function in one file of its name.

An **attack** is `(classifier, images, labels, *, norm, eps, ...) -> images`, of the same shape, within [0, 1] and within `eps`
of the given ones. Marked with `after_others`, it is shown only the images that the other attacks did not break. One with the
option `batch_size` gets a whole group of images at a time and splits it itself.
A **measure** is `(classifier, images, ...) -> {name: a number for each image}`, marked with what its numbers are.
"""
