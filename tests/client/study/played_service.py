"""A service whose jobs do what they are told to; the client's end of the wire is the real one."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2

from bertscape import Client, Problem, ProblemType, Retries

LOOKS = 2  # at a job, until it has ended
SLOW = 9  # the same, of a slow one


@dataclass
class PlayedService:
    """Jobs by id, in the order of their submission; all of it survives a client."""

    content: Callable[[Mapping[str, Any]], bytes]  # of the file of a job with that spec
    fails: set[str] = field(default_factory=set)  # names of jobs
    refuses: set[str] = field(default_factory=set)  # names of jobs
    slow: set[str] = field(default_factory=set)  # names of jobs
    stops_after: int | None = None  # so many answers: then nobody answers any more
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)  # id by idempotency key
    looks: Counter[str] = field(default_factory=Counter)
    downloads: list[str] = field(default_factory=list)
    estimated: list[tuple[str, str | None]] = field(default_factory=list)  # names, stand-ins
    seconds: float | None = 60.0  # that each job is estimated to take

    def client(self) -> Client:
        transport = httpx2.MockTransport(self.answer)
        return Client("http://service", transport=transport, retries=Retries(tries=1))

    def named(self, name: str) -> list[dict[str, Any]]:
        return [job for job in self.jobs.values() if job["name"] == name]

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        if self.stops_after is not None:
            if self.stops_after == 0:
                raise httpx2.ConnectError("refused")
            self.stops_after -= 1
        path = request.url.path
        if path == "/v1/jobs":
            return self._submit(request)
        if path == "/v1/jobs:estimate":
            return self._estimate(request)
        job_id = path.split("/")[3].partition(":")[0]
        if job_id not in self.jobs:
            return _problem(Problem(ProblemType.JOB_NOT_FOUND, "no such job"))
        if path.endswith(":cancel"):
            return self._cancel(job_id)
        if path.endswith("/surface"):
            self.downloads.append(job_id)
            return httpx2.Response(200, content=self.content(self.jobs[job_id]["spec"]))
        return httpx2.Response(200, json=self._look(job_id))

    def _submit(self, request: httpx2.Request) -> httpx2.Response:
        spec, key = json.loads(request.content), request.headers["Idempotency-Key"]
        if spec["name"] in self.refuses:
            problem = Problem(ProblemType.INVALID_DATA, f"{spec['name']}: no such column")
            return _problem(problem)
        if key not in self.keys:
            self.keys[key] = f"job-{len(self.keys) + 1}"
            self.jobs[self.keys[key]] = _new_job(self.keys[key], spec)
        job = self.jobs[self.keys[key]]
        if job["spec"] != spec:
            return _problem(Problem(ProblemType.IDEMPOTENCY_CONFLICT, "another body"))
        return httpx2.Response(202, json=job)

    def _estimate(self, request: httpx2.Request) -> httpx2.Response:
        spec = json.loads(request.content)
        self.estimated.append((spec["name"], request.url.params.get("stand_in")))
        if spec["name"] in self.refuses:
            return _problem(Problem(ProblemType.INVALID_DATA, f"{spec['name']}: no such column"))
        split = {"examples": 10, "tokens": 200, "measured_examples": 10}
        unknown = {} if self.seconds is not None else {"seconds": "no rate is known"}
        return httpx2.Response(
            200,
            json={
                "kind": spec["kind"],
                "points": 1,
                "train": split,
                "eval": split,
                "flops": 1e12,
                "seconds": self.seconds,
                "preparing_seconds": 1.0,
                "workers": 2,
                "device": "a CPU",
                "memory_per_worker": 1 << 30,
                "object_store": 1 << 20,
                "disk": 1 << 20,
                "unknown": unknown,
            },
        )

    def _cancel(self, job_id: str) -> httpx2.Response:
        job = self.jobs[job_id]
        if job["state"] == "completed":
            return _problem(Problem(ProblemType.JOB_NOT_ACTIVE, "it has ended"))
        job["state"] = "cancelled"
        return httpx2.Response(200, json=job)

    def _look(self, job_id: str) -> dict[str, Any]:
        job = self.jobs[job_id]
        if job["state"] == "cancelled":
            return job
        self.looks[job_id] += 1
        if self.looks[job_id] < (SLOW if job["name"] in self.slow else LOOKS):
            job["state"] = "running"
        elif job["name"] in self.fails:
            job["state"] = "failed"
            job["error"] = Problem(ProblemType.TILE_FAILED, "the disk is on fire").to_json()
        else:
            job |= {"state": "completed", "points_done": job["points_total"]}
            if job["kind"] == "finetune":
                job["output"] = _output(job_id)
        return job


def _problem(problem: Problem) -> httpx2.Response:
    headers = {"Content-Type": "application/problem+json"}
    return httpx2.Response(problem.type.status, json=problem.to_json(), headers=headers)


def _new_job(job_id: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    names = {"name": spec["name"], "kind": spec["kind"], "spec": spec}
    return {"id": job_id, "state": "queued", "points_total": 1, "points_done": 0, **names}


def _output(job_id: str) -> dict[str, Any]:
    measured = {"eval_loss": 0.5, "eval_error": 0.25}
    deviations = {"eval_loss_stderr": 0.05, "eval_error_stderr": 0.02}
    return {
        "folder": f"/outputs/{job_id}",
        "checkpoints": [{"step": step, "path": f"/outputs/{job_id}/{step}"} for step in (0, 8)],
        "labels": ["0", "1"],
        "log": [
            {"step": 0, "epoch": 0.0, "eval_loss": 0.7, "eval_error": 0.5, **deviations},
            {"step": 4, "epoch": 1.0, "loss": 0.6, "learning_rate": 1e-5},
            {"step": 8, "epoch": 2.0, **measured, **deviations},
        ],
    }
