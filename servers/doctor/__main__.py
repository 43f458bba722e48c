"""`etude doctor`: what is set up, what can be reached, what is allowed, and what to type to mend it.

Exit code 0 where nothing that is configured is broken, 1 where something is, 2 where the configuration cannot be read.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import anyio

from servers.core.redaction import redacted
from servers.core.services import Services
from servers.core.settings import load_settings
from servers.core.workspace import Workspace
from servers.doctor.asking import NotAllowed, NotReached, Strange, Unwell
from servers.doctor.checks import Check, broken, checks
from servers.doctor.finding import Finding
from servers.doctor.telling import told
from servers.words_parser import WordsParser

LIMIT_S = 10.0  # of one service; all are looked at at once


def run(words: Sequence[str]) -> int:
    """Look at every service and print what was found; the exit code."""
    asked = _parser().parse_args(words)
    try:
        settings = load_settings(asked.config, asked.artifacts)
    except ValueError as error:
        print(f"etude doctor: {error}", file=sys.stderr)
        return 2
    found = anyio.run(examine, Workspace(settings.artifacts, settings.sealed), Services.here(settings))
    try:
        if asked.json:
            document = {"schema": 1, "ok": not any(one.is_broken for one in found), "services": _documents(found)}
            print(json.dumps(document, indent=2, ensure_ascii=False), flush=True)
        else:
            told(found)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python complains once more when it closes stdout
    return 1 if any(one.is_broken for one in found) else 0


async def examine(workspace: Workspace, services: Services, limit_s: float = LIMIT_S) -> list[Finding]:
    """Every service, all at once, in the order in which they are told; no text in it holds a key.

    Args:
        workspace: The artifacts folder.
        services: What is configured.
        limit_s: For one service.
    """
    findings: dict[str, Finding] = {}

    async def look(service: str, check: Check) -> None:
        findings[service] = await _bounded(service, check, limit_s)

    planned = checks(workspace, services)
    async with anyio.create_task_group() as group:
        for service, check in planned.items():
            group.start_soon(look, service, check)
    return [_without_keys(findings[service], services) for service in planned]


async def _bounded(service: str, check: Check, limit_s: float) -> Finding:
    try:
        with anyio.fail_after(limit_s):
            return await check()
    except TimeoutError:
        return broken(service, NotReached(f"no answer in {limit_s:g} s"))
    except (NotAllowed, NotReached, Strange, Unwell, ValueError, OSError) as error:
        return broken(service, error)


def _without_keys(found: Finding, services: Services) -> Finding:
    texts = {"detail": found.detail, "mend": found.mend}
    clean = {name: text and redacted(text, services.environment) for name, text in texts.items()}
    return found.model_copy(update=clean)


def _documents(found: Sequence[Finding]) -> list[dict[str, object]]:
    return [one.model_dump() | {"state": one.state} for one in found]


def _parser() -> argparse.ArgumentParser:
    parser = WordsParser(
        prog="etude doctor",
        description="Say of each service whether it is set up, can be reached and lets us in, and what to type to\n"
        "mend it. Changes nothing, costs nothing, shows no key. Exit code 1 where something is broken.",
        example="etude doctor",
    )
    parser.add_argument("--artifacts", type=Path, metavar="DIR", help="the artifacts folder (default: artifacts)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="default: etude.toml where there is one")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return parser


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
