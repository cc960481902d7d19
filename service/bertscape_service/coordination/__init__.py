"""The coordinator: joins scheduler, journal, dispatcher and published results.

Touches all of them through the doors of their rooms, and files through `publication`. It knows
nothing of HTTP.
"""

from bertscape_service.coordination.coordinator import (
    Coordinator,
)
from bertscape_service.coordination.job_view import (
    brief,
    job_object,
)
from bertscape_service.coordination.submission import (
    read_body,
)

__all__ = ["Coordinator", "brief", "job_object", "read_body"]
