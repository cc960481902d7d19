"""What a study says of the paper's findings: verdicts, and the numbers that they rest on."""

from bertscape.report.findings.error_rates import accuracy, rate_difference
from bertscape.report.findings.findings import STATEMENTS, Verdict, judge, longer_starts
from bertscape.report.findings.judgement import Fact, Judgement, Outcome
from bertscape.report.findings.loss_steps import middle_steps

__all__ = [
    "STATEMENTS",
    "Fact",
    "Judgement",
    "Outcome",
    "Verdict",
    "accuracy",
    "judge",
    "longer_starts",
    "middle_steps",
    "rate_difference",
]
