"""From the body of a submission to a job that may be written down.

Everything here reads files (headers, never rows) and belongs on a thread. Torch is not needed.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from bertscape.spec import JobSpec, parse_spec, refuse_repeated_keys, sources
from bertscape.values import InvalidInput, ProblemType
from bertscape_service.configuration import Settings
from bertscape_service.coordination.job_outputs import JobOf, with_outputs
from bertscape_service.ray_cluster import ClusterFound
from bertscape_workers.admission import MemoryLimits, admitted


def read_body(body: bytes) -> Any:
    """The JSON value of a request's body.

    Raises:
        InvalidInput: malformed-request; or a key stands there twice.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        text = body[:100].decode("utf-8", "replace")
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InvalidInput.of(
            ProblemType.MALFORMED_REQUEST, "body", text, "a job spec as JSON", f"({reason})"
        ) from error
    text = body.decode(json.detect_encoding(body), "surrogatepass")  # as json.loads does
    refuse_repeated_keys(text, "the request's body")
    return value


def digest(value: Any) -> str:
    """The sha256 of a JSON value, the same however its text is spaced or its keys are ordered."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def check_submission(
    value: Any, settings: Settings, cluster: ClusterFound | None, job_of: JobOf, outputs: Path
) -> JobSpec:
    """Make every check that needs no rows.

    Args:
        value: the submitted object.
        settings: limits and allowed roots.
        cluster: the memory there is; None while it is not known, and then nothing is refused
            for it (the worker that prepares the job checks again).
        job_of: finds a job whose output the spec names.
        outputs: the folder of all outputs, which every job may read.

    Returns:
        The spec, its paths with symbolic links resolved, jobs replaced by their outputs' folders.

    Raises:
        InvalidInput: the first of everything that is wrong.
    """
    spec = parse_spec(value)
    checkpoints, paths = sources(spec)
    for key, source in (checkpoints | paths).items():
        if isinstance(source, str):
            _check_path(key, source)
    spec = with_outputs(spec, job_of)
    found = admitted(spec, settings.limits, (*settings.allowed_roots, outputs))
    if cluster is not None:
        there = MemoryLimits(cluster.memory_per_worker, cluster.object_store)
        there.check(found.memory)
    return found.spec


def _check_path(key: str, path: str) -> None:
    # Relative to what? The service runs elsewhere; the client and the command line know.
    if not path.startswith("/"):
        raise InvalidInput.of(ProblemType.INVALID_VALUE, key, path, "an absolute path")
    if "\0" in path:
        raise InvalidInput.of(ProblemType.INVALID_VALUE, key, path, "a path without NUL")
