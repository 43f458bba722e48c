"""Where runs, their history and their traces are kept: what a tracker is, and the one that needs no account."""

from servers.core.tracking.conditions import EVERYTHING, AllOf, AnyOf, Compare, Condition, Not
from servers.core.tracking.database import TrackingError
from servers.core.tracking.local import LocalTracker, TraceCounts
from servers.core.tracking.records import Run, Trace, Tracker
from servers.core.tracking.wandb_tracker import UnknownPlace, coordinates, tracker_for

__all__ = [
    "EVERYTHING",
    "AllOf",
    "AnyOf",
    "Compare",
    "Condition",
    "LocalTracker",
    "Not",
    "Run",
    "Trace",
    "TraceCounts",
    "Tracker",
    "TrackingError",
    "UnknownPlace",
    "coordinates",
    "tracker_for",
]
