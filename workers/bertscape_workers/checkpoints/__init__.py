"""Checkpoints as vectors and as models: loading, devices, number formats.

Touches checkpoint folders, the hub's cache, torch and transformers. Knows `admission`.

Names are loaded at first use: transformers takes seconds, and its Trainer some more.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
