"""Run the MCP conformance suite against every path of `etude serve all --http`, and print what it found.

    make conformance                        # or: python -m tests.conformance [PATH …], such as /eval/mcp

Fails where a check failed that not_applicable.toml does not list, and where it lists one that fails nowhere.
"""

import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.conformance.suite import ROUNDS, Check, Round, results
from tests.network_process import started

LIST = Path(__file__).parent / "not_applicable.toml"
PATHS = ("/mcp", "/eval/mcp", "/augment/mcp", "/retrain/mcp", "/playbook/mcp", "/wandb/mcp")


def main(paths: Iterable[str]) -> int:
    excused = reasons()
    used: set[str] = set()
    wrong: list[str] = []
    paths = list(paths)
    with tempfile.TemporaryDirectory() as folder, started(Path(folder), "all", "--http", "127.0.0.1:0") as server:
        print(f"{'path':<14} {'protocol':<11} {'suite':<15} passed  listed  failed")
        for number, (path, asked) in enumerate((path, asked) for path in paths for asked in ROUNDS):
            found = results(server.url + path, asked, Path(folder) / f"results-{number}")
            failed = [check for check in found if check.failed]
            unexcused = [check for check in failed if not _keys(check) & set(excused)]
            used |= {key for check in failed for key in _keys(check)}
            wrong += [_line(path, asked, check) for check in unexcused]
            counts = Counter(check.status for check in found)
            print(
                f"{path:<14} {asked.protocol:<11} {asked.version:<15} {counts['SUCCESS']:>6}  "
                f"{len(failed) - len(unexcused):>6}  {len(unexcused):>6}",
                flush=True,
            )
    if set(paths) == set(PATHS):
        wrong += [f"{LIST.name} lists {key!r}, which fails nowhere; take it out" for key in set(excused) - used]
    print("\n".join(["", *wrong]) if wrong else "every check passes, or is listed with its reason")
    return 1 if wrong else 0


def reasons() -> Mapping[str, str]:
    """Why a scenario, or a check of one, says nothing about our servers."""
    groups = tomllib.loads(LIST.read_text(encoding="utf-8"))
    return {name: reason for group in groups.values() for name, reason in group.items()}


def _keys(check: Check) -> set[str]:
    return {check.scenario, check.name}


def _line(path: str, asked: Round, check: Check) -> str:
    return f"{path} at {asked.protocol}: {check.name} failed: {check.words[:300]}"


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:] or PATHS))
    except RuntimeError as problem:
        print(f"conformance: {problem}", file=sys.stderr)
        sys.exit(2)
