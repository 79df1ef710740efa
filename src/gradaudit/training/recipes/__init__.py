"""Recipes by name: one file a data set; keys at its head are common to its recipes."""
