"""Where fits run: each backend is one function `(store, device, *, options) -> Backend` in one file, found by name."""

from gradaudit.training.backends._backend import BACKENDS, Backend, BackendLike, resolve_backend

__all__ = ["BACKENDS", "Backend", "BackendLike", "resolve_backend"]
