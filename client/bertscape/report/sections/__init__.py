"""The sections of a report, each built from a study's results."""
