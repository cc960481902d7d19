"""Loss landscapes of fine-tuned BERT models: job specs, surfaces, and the client of a service.

>>> import bertscape  # doctest: +SKIP
>>> with bertscape.Client() as client:
...     surface = client.submit("spec.yaml").wait().surface()
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
