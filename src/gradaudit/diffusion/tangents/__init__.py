"""Tangent spaces of the data manifold at each image; each way to them is one function in one file of the same name.

Each takes `(images, source, *, dimensions=None, ...)`: floats (n, C, H, W) on the source's device, and what knows the manifold.
The annotation of `source` says which class that is, and so which way is taken. It gives orthonormal bases (n, T, F).
"""

from gradaudit.diffusion.tangents._tangent_spaces import TANGENTS, spaces_at_once, tangent_spaces, working_bytes

__all__ = ["TANGENTS", "spaces_at_once", "tangent_spaces", "working_bytes"]
