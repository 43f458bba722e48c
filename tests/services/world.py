"""Every service at once, each a double on the loopback that the real SDK speaks to, and `etude` as a user types it."""

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from servers.core.demo_world.world import World
from servers.core.task import load_task
from tests.doubles.brains import brain_named
from tests.doubles.hub import HubDouble
from tests.doubles.mistral import MistralDouble
from tests.doubles.mistral_answers import Answers
from tests.doubles.wandb_backend import WandbBackend
from tests.doubles.wandb_mcp import OfficialServer
from tests.doubles.wandb_mcp_wire import Hosted

ROOT = Path(__file__).parents[2]
MISTRAL_KEY = "mistral-key-that-nobody-may-see"
ROWS = 320
CONFIG = """
[teacher]
model = "mistral-large-latest"
usd_per_million_input = 2.0
usd_per_million_output = 6.0
[prompt]
model = "ministral-3b-2512"
shots = 2
usd_per_million_input = 0.1
usd_per_million_output = 0.1
[model]
family = "student"
[jobs]
flavor = "a10g-small"
[budget]
usd = 30.0
approve_usd = 5.0
[agent.mistral]
usd_per_million_input = 0.4
usd_per_million_output = 2.0
[agent.wandb]
mcp = "hosted"
url = "{url}"
"""


@dataclass(frozen=True)
class Said:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        assert self.code == 0, self.err
        return dict(json.loads(self.out))


class Services:
    """Mistral, W&B with Weave, the official W&B MCP server and Hugging Face; up inside `with`.

    Args:
        folder: Gets configuration, data and artifacts.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.artifacts = folder, folder / "artifacts"
        self.answers = Answers(load_task("kotone"), world_seed=3)
        self.mistral = MistralDouble(brain_named("careful"), api_key=MISTRAL_KEY, answers=self.answers)
        self.wandb, self.hub = WandbBackend(), HubDouble()
        self.official = OfficialServer(self.wandb.store)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        for double in (self.mistral, self.wandb, self.hub):
            self._stack.enter_context(double)
        wandb = self.wandb.environment()
        hosted = self._stack.enter_context(Hosted(self.official, wandb["WANDB_API_KEY"]))
        self.secrets = [MISTRAL_KEY, wandb["WANDB_API_KEY"], self.hub.environment["HF_TOKEN"]]
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB_", "HF_", "MISTRAL_", "WF_"))}
        self.environment = {
            **clean,
            **wandb,
            **self.hub.environment,
            "MISTRAL_API_KEY": MISTRAL_KEY,
            "MISTRAL_SERVER_URL": self.mistral.url,
        }
        (self.folder / "etude.toml").write_text(CONFIG.format(url=hosted.url))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def etude(self, *words: str) -> Said:
        """Type a command."""
        where = ["--config", str(self.folder / "etude.toml"), "--artifacts", str(self.artifacts)]
        command = [sys.executable, "-m", "agent.cli", *words, *where]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=600, check=False
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def write_rows(self) -> Path:
        """A file of requests as a user would bring them: texts of a world that the language models can read."""
        splits = World(3).splits()
        rows = [row for side in ("train", "gate", "diagnose") for row in splits[side]][:ROWS]
        file = self.folder / "requests.jsonl"
        file.write_text("".join(json.dumps({"text": r.text, "target": r.target}) + "\n" for r in rows))
        return file

    def sealed_rows(self) -> list[dict[str, Any]]:
        """What the judge alone may know."""
        (file,) = (self.artifacts / "sealed").glob("*/*/gate.jsonl")
        return [json.loads(line) for line in file.read_text().splitlines()]
