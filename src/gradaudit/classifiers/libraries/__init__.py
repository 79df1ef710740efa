"""Networks of other libraries by name, as `library:name`: one function `(name, asked) -> LibraryNetwork` a file."""

from gradaudit.classifiers.libraries._build import LIBRARIES, brings_weights, library_network, names_library, tensors_alone
from gradaudit.classifiers.libraries._network import Asked, LibraryNetwork

__all__ = ["LIBRARIES", "Asked", "LibraryNetwork", "brings_weights", "library_network", "names_library", "tensors_alone"]
