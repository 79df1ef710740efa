"""The store of finished work: a folder, or a URL that machines share."""

from gradaudit.training.store.bits import packed, unpacked
from gradaudit.training.store.keys import key_of
from gradaudit.training.store.store import Store, as_store, default_folder

__all__ = ["Store", "as_store", "default_folder", "key_of", "packed", "unpacked"]
