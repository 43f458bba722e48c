"""`etude verify CYCLE`, from words to exit code: 0 agrees, 1 does not or cannot, 2 words that make no sense."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from servers.core.services import Services
from servers.core.settings import load_settings
from servers.eval.custody import Custody
from servers.eval.verifying import Verification, Verifier
from servers.words_parser import WordsParser


def run(words: Sequence[str]) -> int:
    """Verify a cycle and print what was found."""
    asked = _parser().parse_args(words)
    try:
        settings = load_settings(asked.config, asked.artifacts, asked.task)
        workspace, task = settings.open()
    except ValueError as error:
        return _complain(str(error))
    try:
        found = Verifier(workspace, Custody(workspace, task), Services.here(settings)).verify(asked.cycle, asked.again)
    except ValueError as error:
        return _complain(str(error))
    except PermissionError as error:
        return _complain(workspace.denied(error))
    try:
        print(json.dumps(found.model_dump(mode="json"), indent=2) if asked.json else _in_words(found), flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python complains once more when it closes stdout
    return 0 if found.agrees else 1


def _complain(words: str) -> int:
    print(f"etude verify: {words}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = WordsParser(
        prog="etude verify",
        description="Recompute a cycle's verdict from the sealed folder, and say whether it agrees. Whoever may open\n"
        "the sealed folder can do it. The figures of a verdict without promotion are told once its split is retired.",
        example="etude verify cycle_1 --again",
    )
    parser.add_argument("cycle", metavar="CYCLE", help="such as cycle_1")
    parser.add_argument("--again", action="store_true", help="also ask the models again, and compare word for word")
    parser.add_argument("--artifacts", type=Path, metavar="DIR", help="the artifacts folder (default: artifacts)")
    parser.add_argument("--task", metavar="TASK", help="a built-in task's name, or a task file (default: kotone)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="default: etude.toml where there is one")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return parser


def _in_words(found: Verification) -> str:
    lines = [f"{found.cycle} {found.verdict_id}: {'agrees' if found.agrees else 'DOES NOT AGREE'}"]
    lines += [f"  {point.what}: {point.finding} ({point.detail})" for point in found.points]
    if found.verdict is not None:
        lines.append(f"outcome: {found.verdict.outcome}; {found.verdict.reason}")
        lines += [
            f"  {'passed' if check.passed else 'FAILED'} {check.name}: {check.detail}" for check in found.verdict.checks
        ]
        if found.verdict.difference is None:
            lines.append("the checks on the sealed rows are told once the split is retired (etude import --fresh-gate)")
    return "\n".join(lines)
