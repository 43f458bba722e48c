"""`etude verify CYCLE`: recompute a cycle's verdict from what the sealed folder kept, and say whether it agrees.

Whoever can open the sealed folder can do this: rows, answers, rules and the verdicts before stand there. As long as the
split judges, only the agreement is told; once it is retired, the figures are.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NoReturn

from servers.core.cycle_files import document, opening
from servers.core.dataset import Card, DatasetStore
from servers.core.disk import digest
from servers.core.fitness import plain_checks
from servers.core.gate import Verdict, judge, level_for_next, shown
from servers.core.models import trained_model
from servers.core.settings import load_settings
from servers.core.task import Task
from servers.core.wire import Wire
from servers.core.workspace import Workspace
from servers.eval.custody import Custody
from servers.eval.sealed_evidence import ROLES, Answered, evidence_from
from servers.eval.verdicts import GateDocument, Record, promotions, records

Finding = Literal["agrees", "differs", "cannot be checked"]


class Point(Wire):
    """One thing that was recomputed."""

    what: str
    finding: Finding
    detail: str


class Verification(Wire):
    """What became of a cycle's verdict when it was computed anew."""

    cycle: str
    verdict_id: str
    agrees: bool
    """Whether nothing differs; what cannot be checked any more does not count against it."""
    retired: bool
    """Whether the sealed split judges no more, so that `verdict` may be told whole."""
    points: list[Point]
    verdict: Verdict
    """As recomputed: whole for a promotion or a retired split, else what is not sealed."""
