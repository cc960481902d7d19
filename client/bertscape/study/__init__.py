"""Studies: the jobs that one takes, how they are run on a service, and what they left behind."""

from bertscape.study.results import StudyResults, TrainingRun

__all__ = ["StudyResults", "TrainingRun"]
