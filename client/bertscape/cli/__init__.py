"""The command line: one program, with the commands of every package that is installed.

The topmost room: it may touch every other one, and nothing imports it but commands of other
packages. A module that defines a command imports what the command needs when it runs.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
