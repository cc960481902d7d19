"""The coordinator: joins scheduler, journal, dispatcher and published results.

Touches all of them through the doors of their rooms, and files through `publication`. It knows
nothing of HTTP.
"""

from bertscape_service.coordination.coordinator import Coordinator
from bertscape_service.coordination.publication import Published
from bertscape_service.coordination.submission import read_body

__all__ = ["Coordinator", "Published", "read_body"]
