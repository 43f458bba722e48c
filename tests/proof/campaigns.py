"""How often a campaign says that a way helped or harmed, when no way does anything.

    python -m tests.proof.campaigns [CAMPAIGNS]      # 1,500 for each setting

Each way's candidates differ from the champion by noise of rows and, where a teacher drew the rows, by noise of the
seed; ways that train on the same drawn rows share it. Exit code 1 when more than a tenth of the campaigns with several
seeds show something.
"""

import sys
from functools import partial

import numpy as np

from servers.core.campaign import DRAWS, WAYS, Way
from servers.core.effects import LEVEL, compare_ways
from servers.core.statistics import Floats
from tests.proof.section import in_processes, print_section, share, table

CAMPAIGNS = 1_500
ROWS = 120
ROW_NOISE = 3.0  # points, standard deviation of a row's difference between two students of the demo
SHARED = 0.5  # of a row's noise that candidates have in common, because the champion's error is the same for all
SPREADS = (0.0, 1.0, 3.0)  # of the seeds' means, in standard errors of the rows' mean
SEEDS = (1, 2, 3)
MOST = 0.10
Setting = tuple[int, float]


def shown_by_luck(seeds: int, spread: float, campaign: int) -> bool:
    """Whether a campaign without any effect shows one."""
    random = np.random.default_rng([seeds, int(10 * spread), campaign])
    champion = 15 + 5 * random.random(ROWS)
    common = np.sqrt(SHARED) * random.standard_normal(ROWS)
    of_seed = {(draw, seed): random.standard_normal() for draw in set(DRAWS.values()) for seed in range(seeds)}
    errors: dict[Way, dict[int, Floats]] = {}
    for way in WAYS:
        for seed in range(seeds if way in DRAWS else 1):
            own = np.sqrt(1 - SHARED) * random.standard_normal(ROWS)
            moved = spread * ROW_NOISE / np.sqrt(ROWS) * of_seed[DRAWS[way], seed] if way in DRAWS else 0.0
            errors.setdefault(way, {})[seed] = champion + ROW_NOISE * (common + own) + moved
    found = compare_ways(errors, champion, np.arange(ROWS))
    return any(effect.p <= LEVEL for effect, _ in found.values())


def main() -> int:
    campaigns = int(sys.argv[1]) if sys.argv[1:] else CAMPAIGNS
    settings: list[Setting] = [(seeds, spread) for seeds in SEEDS for spread in SPREADS]
    counts = {}
    with in_processes() as pool:
        for seeds, spread in settings:
            counts[seeds, spread] = sum(pool.map(partial(shown_by_luck, seeds, spread), range(campaigns), chunksize=50))
    lines = [[str(seeds), *(share(counts[seeds, spread], campaigns) for spread in SPREADS)] for seeds in SEEDS]
    words = (
        f"Campaigns of {len(WAYS)} ways of which none does anything, {campaigns:,} each, that show a way as better or "
        f"worse at {LEVEL:.0%} after correction, by the number of seeds and by how far seeds differ (in standard "
        "errors of the rows). One seed says nothing of how far seeds differ, so entries of cycles with one candidate "
        "are as weak as the first line; a campaign has two or more, and its choice still has to pass the gate."
    )
    head = ["seeds", *(f"spread {spread:g}" for spread in SPREADS)]
    print_section("Campaigns in which nothing helps", "campaigns", words, table(head, lines))
    worst = max(count for (seeds, _), count in counts.items() if seeds > 1)
    return 0 if worst <= MOST * campaigns else 1


if __name__ == "__main__":
    sys.exit(main())
