from .client import DEFAULT_URL as DEFAULT_URL, Client as Client
from .job import Job as Job
from .progress import (
    Bar as Bar,
    JobProgress as JobProgress,
    StageProgress as StageProgress,
    duration as duration,
    outlook as outlook,
)
from .retries import Retries as Retries
from .serving import local_service as local_service, require_service as require_service
