"""What the product's judge says in a simulation: of errors that were drawn, with nothing else amiss."""

from collections.abc import Sequence

from servers.core.demo_world.world import DIMENSIONS
from servers.core.gate import Evidence, Verdict, judge
from servers.core.statistics import Labels
from servers.core.task import GateRules, load_task
from tests.proof.population import Floats

RULES: GateRules = load_task("kotone").gate


def judged(
    candidate: Floats,
    champion: Floats,
    constant: Floats,
    clusters: Labels,
    focus: Sequence[str],
    expected_standard_error: float,
    level: float,
) -> Verdict:
    """The verdict on a candidate that is fit for service, answers every row, and has no prompt arm beside it.

    Args:
        candidate: Its errors on the sealed rows, (rows, dimensions), points.
        champion: The champion's, same rows.
        constant: The constant's, same rows.
        clusters: Near-copy group of each row.
        focus: Dimensions that the cycle aimed at.
        expected_standard_error: Of the difference in vector_mae, points.
        level: What the verdict may spend, one-sided.
    """
    evidence = Evidence(
        dimensions=DIMENSIONS,
        focus=focus,
        scale_width=100.0,
        candidate=candidate,
        champion=champion,
        constant=constant,
        prompt=None,
        clusters=clusters,
        json_valid_rate=1.0,
        expected_standard_error=expected_standard_error,
    )
    return judge([], evidence, RULES, level)
