"""What the product's judge is given in a simulation: errors that were drawn, and nothing else amiss."""

from collections.abc import Sequence

import numpy as np

from servers.core.demo_world.world import DIMENSIONS
from servers.core.gate import Evidence
from servers.core.statistics import Labels
from servers.core.task import GateRules, load_task
from tests.proof.population import Floats

RULES: GateRules = load_task("kotone").gate


def evidence(
    candidate: Floats,
    champion: Floats,
    constant: Floats,
    clusters: Labels,
    focus: Sequence[str],
    expected_standard_error: float,
) -> Evidence:
    """Evidence on sealed rows for a candidate that is fit for service.

    Args:
        candidate: Its errors, (rows, dimensions), points.
        champion: The champion's, same rows.
        constant: The constant's, same rows.
        clusters: Near-copy group of each row.
        focus: Dimensions that the cycle aimed at.
        expected_standard_error: Of the difference in vector_mae, points.
    """
    return Evidence(
        dimensions=DIMENSIONS,
        focus=focus,
        scale_width=100.0,
        candidate=np.asarray(candidate, dtype=np.float64),
        champion=np.asarray(champion, dtype=np.float64),
        constant=np.asarray(constant, dtype=np.float64),
        clusters=clusters,
        json_valid_rate=1.0,
        p95_latency_ms=1.0,
        leaked_rows=0,
        expected_standard_error=expected_standard_error,
    )
