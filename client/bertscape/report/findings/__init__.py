"""What a study says of the paper's findings: verdicts, and the numbers that they rest on."""

from bertscape.report.findings.error_rates import accuracy, rate_difference
from bertscape.report.findings.findings import STATEMENTS, Verdict, judge, longer_starts
from bertscape.report.findings.judgement import Fact, Judgement, Outcome
from bertscape.report.findings.loss_steps import middle_steps
from bertscape.report.findings.sizes import at_least, radius_in_space, size_of

__all__ = [
    "STATEMENTS",
    "Fact",
    "Judgement",
    "Outcome",
    "Verdict",
    "accuracy",
    "at_least",
    "judge",
    "longer_starts",
    "middle_steps",
    "radius_in_space",
    "rate_difference",
    "size_of",
]
