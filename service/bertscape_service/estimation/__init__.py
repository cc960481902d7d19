"""What jobs will take on the workers there are, and how fast workers were at earlier jobs.

Joins what `costs` of the workers counts with the rates that the journal keeps. Starts nothing.
"""

from bertscape_service.estimation.estimates import Estimator, Workers
from bertscape_service.estimation.measures import note_rates

__all__ = ["Estimator", "Workers", "note_rates"]
