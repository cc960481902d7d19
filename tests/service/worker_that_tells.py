"""A worker that writes down what it was started with; everything around it is the real one.

It is imported by the dispatcher and by its Ray workers, by its full name.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.service.worker_for_tests import WorkerForTests

from bertscape.spec import JobSpec
from bertscape_workers.admission import MemoryLimits


class WorkerThatTells(WorkerForTests):
    """Preparing a job writes to the file that the job's name is."""

    def _prepare(self, spec: JobSpec, limits: MemoryLimits | None) -> Any:
        assert spec.name is not None
        told = {
            "pid": os.getpid(),
            "directory": str(Path.cwd()),
            "path": sys.path,
            "environment": dict(os.environ),
        }
        Path(spec.name).write_text(json.dumps(told))
        return super()._prepare(spec, limits)
