"""The client of a service: requests with retries, jobs to wait for, progress on a terminal.

Touches the network, and child processes that serve on this machine (`local_service`). Of the
other rooms it knows `results`, `spec` and `values`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
