"""Studies: the jobs that one takes, how they are run on a service, and what they left behind."""

from bertscape.study.estimating import StudyEstimate, estimate_study, wait_for_workers
from bertscape.study.folder import REPORT
from bertscape.study.own_service import own_service
from bertscape.study.plan import Step, plan
from bertscape.study.results import PRETRAINED, SCRATCH, StudyResults, TrainingRun
from bertscape.study.running import run_study

__all__ = [
    "PRETRAINED",
    "REPORT",
    "SCRATCH",
    "Step",
    "StudyEstimate",
    "StudyResults",
    "TrainingRun",
    "estimate_study",
    "own_service",
    "plan",
    "run_study",
    "wait_for_workers",
]
