"""Which version of bertscape this is."""

import importlib.metadata

__all__ = ["__version__", "version"]


def version() -> str:
    """The version of bertscape that is installed."""
    try:
        return importlib.metadata.version("bertscape")
    except importlib.metadata.PackageNotFoundError:  # a bare source tree on the path
        return "0"


__version__ = version()
