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
from bertscape_workers.admission import Admitted, MemoryLimits, admitted
from bertscape_workers.costs import admitted_with


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
) -> Admitted[JobSpec]:
    """Make every check that needs no rows.

    Args:
        value: the submitted object.
        settings: limits and allowed roots.
        cluster: the memory there is; None while it is not known, and then nothing is refused
            for it (the worker that prepares the job checks again).
        job_of: finds a job whose output the spec names.
        outputs: the folder of all outputs, which every job may read.

    Returns:
        The job, its paths with symbolic links resolved, jobs replaced by their outputs' folders.

    Raises:
        InvalidInput: the first of everything that is wrong.
    """
    spec = with_outputs(_parsed(value), job_of)
    found = admitted(spec, settings.limits, (*settings.allowed_roots, outputs))
    _check_memory(found, cluster)
    return found


def check_with_stand_in(
    value: Any, stand_in: str, settings: Settings, cluster: ClusterFound | None, outputs: Path
) -> Admitted[JobSpec]:
    """As `check_submission`, of a job to which other jobs have yet to give its checkpoints.

    Args:
        value: the object to submit later.
        stand_in: a folder with a checkpoint of the same shapes, in place of every `{job: ID}`.
        settings: limits and allowed roots.
        cluster: the memory there is, if it is known.
        outputs: the folder of all outputs.

    Raises:
        InvalidInput: the first of everything that is wrong, as far as it can be told.
    """
    _check_path("stand_in", stand_in)
    spec, roots = _parsed(value), (*settings.allowed_roots, outputs)
    found = admitted_with(spec, stand_in, settings.limits, roots)
    _check_memory(found, cluster)
    return found


def _parsed(value: Any) -> JobSpec:
    spec = parse_spec(value)
    checkpoints, paths = sources(spec)
    for key, source in (checkpoints | paths).items():
        if isinstance(source, str):
            _check_path(key, source)
    return spec


def _check_memory(found: Admitted[JobSpec], cluster: ClusterFound | None) -> None:
    if cluster is not None:
        there = MemoryLimits(cluster.memory_per_worker, cluster.object_store)
        there.check(found.memory)


def _check_path(key: str, path: str) -> None:
    # Relative to what? The service runs elsewhere; the client and the command line know.
    if not path.startswith("/"):
        raise InvalidInput.of(ProblemType.INVALID_VALUE, key, path, "an absolute path")
    if "\0" in path:
        raise InvalidInput.of(ProblemType.INVALID_VALUE, key, path, "a path without NUL")
