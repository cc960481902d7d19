"""The sections of a report, each built from a study's results."""

from bertscape.report.sections.checks import checks_section, failures, provenance_section
from bertscape.report.sections.landscape import (
    curves_section,
    generalization_section,
    training_loss_section,
)
from bertscape.report.sections.layers import layers_section, rollback_section
from bertscape.report.sections.outcomes import accuracy_section, findings_section
from bertscape.report.sections.training import longer_section, optimization_section
from bertscape.report.sections.widths import shown_section, widths_section

__all__ = [
    "accuracy_section",
    "checks_section",
    "curves_section",
    "failures",
    "findings_section",
    "generalization_section",
    "layers_section",
    "longer_section",
    "optimization_section",
    "provenance_section",
    "rollback_section",
    "shown_section",
    "training_loss_section",
    "widths_section",
]
