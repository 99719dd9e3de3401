"""How rules are tried with values that nobody thought of."""

from hypothesis import settings

# How long one value takes tells of the box and of what else it does: on a busy one a sound rule would fail.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")
