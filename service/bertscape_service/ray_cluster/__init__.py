"""The dispatcher, the only Ray driver, and the link through which the coordinator speaks to it.

`dispatcher`, `dispatching`, `cluster` and `worker_life` run in the child process and import Ray.
All that is exported here belongs to the API's process, which imports neither Ray nor torch.
"""

from bertscape_service.ray_cluster.dispatcher_link import DispatcherLink, DispatcherOptions
from bertscape_service.ray_cluster.messages import (
    ClusterFound,
    DescribeJob,
    PrepareDone,
    PrepareRefused,
    TileRefused,
    TileResult,
    WorkProgress,
)
from bertscape_service.ray_cluster.supervision import LinkFactory, Supervision

__all__ = [
    "ClusterFound",
    "DescribeJob",
    "DispatcherLink",
    "DispatcherOptions",
    "LinkFactory",
    "PrepareDone",
    "PrepareRefused",
    "Supervision",
    "TileRefused",
    "TileResult",
    "WorkProgress",
]
