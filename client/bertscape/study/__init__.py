"""Studies: the jobs that one takes, how they are run on a service, and what they left behind."""

from bertscape.study.plan import Step, plan
from bertscape.study.results import StudyResults, TrainingRun
from bertscape.study.running import run_study

__all__ = ["Step", "StudyResults", "TrainingRun", "plan", "run_study"]
