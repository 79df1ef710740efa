"""A package, so that worker processes do not take the `tests` that another package installs for this one."""
