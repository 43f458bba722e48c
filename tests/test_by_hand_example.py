"""The example that types a cycle into a command-line client, with a stand-in for the client that needs no node."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workshop import Workshop

ROOT = Path(__file__).parents[1]
CLIENT = shlex.join([sys.executable, "-m", "tests.doubles.inspector"])
ETUDE = shlex.join([sys.executable, "-m", "agent.cli"])


pytestmark = [pytest.mark.anyio, pytest.mark.services]


async def test_a_command_line_client_goes_on_from_what_another_client_did(tmp_path: Path):
    """Ours: each call is a process that knows only what is on disk; W&B's replies pass through word for word."""
    artifacts = tmp_path / "artifacts"
    async with Workshop(artifacts) as shop:
        await shop.call("prepare_dataset", dataset="demo")
        await shop.follow((await shop.call("open_cycle", dataset="demo"))["cycle"], until="query_wandb_tool")
    command = [sys.executable, "examples/by_hand/follow.py", "demo", "--client", CLIENT, "--etude", ETUDE]

    typed = subprocess.run(
        [*command, "--artifacts", str(artifacts), "--until", "diagnose_dataset"],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip

    assert typed.returncode == 0, typed.stdout + typed.stderr
    snapshot = json.loads((artifacts / "loop" / "begin_demo" / "mcp_eval_snapshot.json").read_text())
    assert snapshot["failures_len"] == 20 and snapshot["server"]["kind"] == "stand-in"
    assert "# record_context: " in typed.stdout
