"""The demo as `make cycle` runs it, alone on the machine: how long, which verdicts, and what the holdout says.

    python -m tests.bench.demo          # the lines that the README shows

Exit code 1 when two cycles take over a minute, or when the last champion is no better on rows that nothing in the loop
read.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from servers.core.workspace import Workspace
from tests.bench.seeds import holdout_error

LIMIT_S = 60.0


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "agent.cli", "cycle", "--json", "--artifacts", folder]
        started = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        whole = time.perf_counter() - started
        if done.returncode != 0:
            print(done.stderr, file=sys.stderr)
            return 1
        document = json.loads(done.stdout)
        models = {"constant": "constant", "beginning": document["begin"]["champion"]}
        models |= {f"cycle {cycle['cycle']}": cycle["champion_after"] for cycle in document["cycles"]}
        verdicts = {"beginning": document["begin"]["verdict"]}
        verdicts |= {f"cycle {cycle['cycle']}": cycle["verdict"] for cycle in document["cycles"]}
        workspace = Workspace(Path(folder))
        errors = {name: holdout_error("demo", 0, workspace, model) for name, model in models.items()}
    cycles = sum(cycle["seconds"] for cycle in document["cycles"])
    print("| after | verdict | error on the holdout, points |\n|---|---|---|")
    for name, error in errors.items():
        print(f"| {name} | {verdicts.get(name, '')} | {error:.2f} |")
    print(f"\nTwo cycles took {cycles:.0f} s, the whole command {whole:.0f} s, on {os.cpu_count()} cores.")
    return 0 if cycles < LIMIT_S and errors["cycle 2"] < errors["beginning"] else 1


if __name__ == "__main__":
    sys.exit(main())
