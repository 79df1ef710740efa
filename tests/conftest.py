"""For all tests."""

from hypothesis import settings

settings.register_profile("gradaudit", deadline=None)  # a first call that imports, or a busy machine, is no failure
settings.load_profile("gradaudit")
