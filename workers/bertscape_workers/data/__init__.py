"""Splits: rows as tokenized examples, and the statistics of their losses.

Touches data files and the `datasets` cache. Knows `admission` and `checkpoints`. Names are loaded
at first use: rows can be read without torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
