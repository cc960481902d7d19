"""The REST interface: requests in, problem documents and job objects out.

Touches the coordinator's public methods, and no room behind it.
"""

from bertscape_service.rest.api import (
    create_app,
)

__all__ = ["create_app"]
