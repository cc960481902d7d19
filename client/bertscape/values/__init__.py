"""Values that every package speaks: errors, grids, layer groups, findings, the job object.

Touches nothing but the standard library, numpy and pydantic: no file, except that `publishing`
writes one by temporary name; no network. No other room of `bertscape` is imported here.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
