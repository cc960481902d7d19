"""Running a study: every step is a job of a service, submitted once its inputs exist.

It may be interrupted at any moment and called again: each job's idempotency key is a hash of all
that its result depends on, so that equal steps find the jobs that they had, done or under way.
"""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bertscape.http import Client, Job
from bertscape.spec import FINETUNE_NUMBERS, StudySpec, load_study
from bertscape.study.content import Content
from bertscape.study.folder import (
    RESULTS,
    StepRecord,
    StudyRecord,
    load_results,
    result_name,
    write_json,
)
from bertscape.study.outlook import Outlook
from bertscape.study.plan import Step, plan
from bertscape.study.progress import StudyProgress
from bertscape.study.results import StudyResults
from bertscape.values import (
    COMPLETED,
    FINAL_STATES,
    BertscapeError,
    InvalidInput,
    JobFailed,
    JobStatus,
    Problem,
    ProblemType,
    ServiceError,
    TrainingOutput,
)

REFUSED, BLOCKED, WAITING = "refused", "blocked", "waiting"  # states that no job has
_FAILED = ("failed", "cancelled")
_NOTHING_TO_CANCEL = (ProblemType.JOB_NOT_FOUND, ProblemType.JOB_NOT_ACTIVE)
PAUSE_S = 1.0  # seconds between two looks at the jobs
# The service is in trouble, or does not know us: no fault of one step.
_NO_ANSWER = frozenset({401, 404, 405, 421, 429})


def run_study(
    study: StudySpec | str | Path,
    folder: str | Path,
    client: Client,
    *,
    alone: bool = False,
    progress: bool = True,
    sleep: Callable[[float], None] = time.sleep,
) -> StudyResults:
    """Run what is not done yet of a study, and return everything that there then is.

    Args:
        study: a study, or the path of its YAML or JSON file.
        folder: of the results; created if it does not exist. Called with the folder of an earlier
            call, it continues from there.
        client: of the service that runs the jobs.
        alone: nobody else uses that service: jobs that an earlier call began there, and this study
            no longer wants, are cancelled. Of a shared one another study may want them.
        progress: show a bar, if standard error is a terminal.
        sleep: waits so many seconds.

    Raises:
        InvalidInput, ServiceError: the study is wrong, or the service refused a step of it.
        JobFailed: a job failed. Before it is raised, all that does not need it has been done; a
            further call tries the failed steps again.
        ServiceUnreachable: no answer came.
    """
    spec = study if isinstance(study, StudySpec) else load_study(study)
    run = _Run(spec, Path(folder), client, alone=alone)
    with StudyProgress(run.steps, shown=progress) as bar:
        run.until_done(bar, sleep)
    run.raise_for_failure()
    return load_results(run.folder)


class _Run:
    """One call: which steps wait, which have a job, and what `study.json` says of each."""

    def __init__(self, study: StudySpec, folder: Path, client: Client, *, alone: bool) -> None:
        self.folder = folder
        self.steps = plan(study)
        self._client = client
        self._identities = identities_of(self.steps)
        self._jobs: dict[str, Job] = {}  # by key
        self._errors: dict[str, BertscapeError] = {}  # by key, of failed and refused steps
        self._outlook = Outlook()
        earlier = earlier_steps(folder)
        if alone:
            self._cancel_superseded(earlier)
        (folder / RESULTS).mkdir(parents=True, exist_ok=True)
        self._record = _carried_over(study, self._identities, earlier)
        self._record.write(folder)

    def until_done(self, bar: StudyProgress, sleep: Callable[[float], None]) -> None:
        """Return once no step can be done any more."""
        looked = time.monotonic()
        while True:
            with self._writing_down():
                self._submit_ready()
            running = self._running()
            if not running:
                return
            for step in running:
                self._jobs[step.key].refresh()
            now = time.monotonic()
            self._outlook.note(now - looked, [(step, self._status(step)) for step in running])
            looked = now
            ended = [step for step in running if self._status(step).final]
            with self._writing_down():
                for step in running:
                    self._take(step)
            self._show(bar)
            if not ended:
                sleep(PAUSE_S)

    def raise_for_failure(self) -> None:
        """Raise the first refusal, else `JobFailed` for all that failed; first in the plan's order.

        Which of two jobs fails first is chance: the same study is to say the same.
        """
        errors = [self._errors[step.key] for step in self.steps if step.key in self._errors]
        for error in errors:
            if not isinstance(error, JobFailed):
                raise error
        if len(errors) == 1:
            raise errors[0]
        if errors:
            detail = f"{len(errors)} steps failed; the first: {errors[0]}"
            problems = tuple(error.problem for error in errors)
            raise JobFailed(Problem(ProblemType.JOB_NOT_ACTIVE, detail, errors=problems))

    def _cancel_superseded(self, earlier: Mapping[str, StepRecord]) -> None:
        """Stop what an earlier call began and this study does not want: it would run first."""
        for key, step in earlier.items():
            unwanted = step.identity != self._identities.get(key)
            if unwanted and step.job is not None and step.state not in FINAL_STATES:
                try:
                    self._client.job(step.job).cancel()
                except ServiceError as error:  # done by now, or of another service
                    if error.problem.type not in _NOTHING_TO_CANCEL:
                        raise

    # --- submitting -----------------------------------------------------------------------------

    def _submit_ready(self) -> None:
        for step in self.steps:
            if self._state(step.key) != WAITING:
                continue
            missing = [key for key in step.needs if self._state(key) != COMPLETED]
            lost = [key for key in missing if self._state(key) in (*_FAILED, REFUSED, BLOCKED)]
            if lost:
                self._note(step.key, state=BLOCKED, error=f"it needs {lost[0]}")
            elif not missing:
                self._submit(step)

    def _submit(self, step: Step) -> None:
        try:
            job = self._submitted(step)
        except BertscapeError as error:
            if not _is_refusal(error):
                raise
            self._errors[step.key] = error
            self._note(step.key, state=REFUSED, error=str(error))
            return
        self._jobs[step.key] = job
        kept = self._record.steps[step.key]
        same = kept.job == job.id
        self._note(step.key, state=job.state, job=job.id, file=kept.file if same else None)
        self._take(step)

    def _submitted(self, step: Step) -> Job:
        """The step's job: that of the last attempt that has not failed, or a new one."""
        spec = step.resolved({key: self._jobs[key].id for key in step.needs})
        identity = self._identities[step.key]
        for attempt in itertools.count(1):
            key = identity if attempt == 1 else f"{identity}-{attempt}"
            try:
                job = self._client.submit(spec, idempotency_key=key)
            except ServiceError as error:
                # The same step with another job's output, because that one was done once more.
                if error.problem.type is not ProblemType.IDEMPOTENCY_CONFLICT:
                    raise
                continue
            if job.state not in _FAILED:
                return job
        raise AssertionError  # the count has no end

    # --- taking in ------------------------------------------------------------------------------

    def _take(self, step: Step) -> None:
        """What happened to a step's job since the last look."""
        job, known = self._jobs[step.key], self._record.steps[step.key]
        if job.state == COMPLETED:
            if known.file is None or not (self.folder / known.file).is_file():
                self._note(step.key, state=COMPLETED, file=self._fetch(step, job))
            elif known.state != COMPLETED:
                self._note(step.key, state=COMPLETED)
        elif job.state in _FAILED:
            error = _failure(step, job)
            self._errors[step.key] = error
            self._note(step.key, state=job.state, error=str(error))
        elif job.state != known.state:
            self._note(step.key, state=job.state)

    def _fetch(self, step: Step, job: Job) -> str:
        """Publish the step's result; its name, relative to the folder."""
        if step.spec.trains:
            name = result_name(step.key, ".json")
            assert job.output is not None, step.key  # noqa: S101  (it is completed)
            write_json(self.folder / name, _training_result(job.output))
        else:
            name = result_name(step.key, ".h5")
            job.fetch(self.folder / name)
        return name

    # --- what is known --------------------------------------------------------------------------

    def _state(self, key: str) -> str:
        return self._record.steps[key].state

    def _status(self, step: Step) -> JobStatus:
        return self._jobs[step.key].status

    def _running(self) -> list[Step]:
        return [
            step
            for step in self.steps
            if step.key in self._jobs and self._state(step.key) not in (COMPLETED, *_FAILED)
        ]

    def _note(self, key: str, **changes: Any) -> None:
        self._record = self._record.with_step(key, **changes)

    @contextmanager
    def _writing_down(self) -> Iterator[None]:
        """Publish what the block noted, however it ends; what a kill loses can be asked again."""
        before = self._record
        try:
            yield
        finally:
            if self._record is not before:
                self._record.write(self.folder)

    def _show(self, bar: StudyProgress) -> None:
        running = [(step, self._status(step)) for step in self._running()]
        waiting = [(step, None) for step in self.steps if self._state(step.key) == WAITING]
        done = sum(step.state == COMPLETED for step in self._record.steps.values())
        bar.show(done, running, self._outlook.eta([*running, *waiting]))


def identities_of(steps: Iterable[Step]) -> dict[str, str]:
    """What the result of each step depends on, as one hash, by key."""
    content, identities = Content(), dict[str, str]()
    for step in steps:
        identities[step.key] = step.identity(identities, content.of(step.spec))
    return identities


def earlier_steps(folder: Path) -> Mapping[str, StepRecord]:
    """How the steps stood when an earlier call ended."""
    try:
        return StudyRecord.read(folder).steps
    except InvalidInput:
        return {}


def _carried_over(
    study: StudySpec, identities: Mapping[str, str], earlier: Mapping[str, StepRecord]
) -> StudyRecord:
    """A new record, with the results of an earlier call that are still those of its steps."""
    steps = {}
    for key, identity in identities.items():
        known = earlier.get(key, StepRecord())
        same = known.identity == identity
        steps[key] = StepRecord(
            identity=identity,
            job=known.job if same else None,
            file=known.file if same else None,
        )
    return StudyRecord(study, steps)


def _is_refusal(error: BertscapeError) -> bool:
    """Whether the service refused what was submitted, and not whoever asked."""
    if isinstance(error, ServiceError):
        return 400 <= error.status < 500 and error.status not in _NO_ANSWER
    return isinstance(error, InvalidInput)


def _failure(step: Step, job: Job) -> BertscapeError:
    try:
        job.raise_for_failure()
    except JobFailed as error:
        problem = Problem(error.problem.type, f"{step.key}: {error.problem.detail}")
        return JobFailed(problem, error.job_id, error.state)
    raise AssertionError(f"{step.key}: {job.state}")  # only failed jobs come here


def _training_result(output: TrainingOutput) -> dict[str, Any]:
    """What a fine-tuning left behind, and the final model's numbers on the evaluation split."""
    last = [entry for entry in output.log if entry.eval_error is not None][-1].to_json()
    return {"output": output.to_json(), **{name: last[name] for name in FINETUNE_NUMBERS}}
