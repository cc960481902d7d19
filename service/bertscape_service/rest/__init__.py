"""The REST interface: requests in, problem documents and job objects out.

`interfaces` says all that the routes ask of the service behind them.
"""

from bertscape_service.rest.api import create_app

__all__ = ["create_app"]
