"""What a worker does for a job: the Ray actor, and how each kind is prepared and done.

The dispatcher imports this room for the actor's class alone, so names are loaded at first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
