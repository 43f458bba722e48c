"""Can these data teach the task at all? Signal, noise, copies, leaks, shifts and outliers, and a verdict in words."""

from servers.core.diagnosis.diagnosing import STEPS, diagnose
from servers.core.diagnosis.findings import Diagnosis, DimensionDiagnosis, SourceShift

__all__ = ["STEPS", "Diagnosis", "DimensionDiagnosis", "SourceShift", "diagnose"]
