"""Two users on one machine, set up as docs/own-user.md says: its files and commands are what is carried out here."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from servers.core.demo_world.world import World
from tests.acceptance import check_artifacts, check_document, check_seal
from tests.doubles.sudo import Sudo

ROOT = Path(__file__).parent.parent
DOCS = (ROOT / "docs" / "own-user.md").read_text(encoding="utf-8")
AGENT, EVAL, GROUP = 23001, 23002, 23000  # numbers that no account of this machine has, so nobody has to make one
LIMIT_S = 280
pytestmark = [
    pytest.mark.services,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can run programs as two other users"),
]

OPENED = """
import json, os, sys
can = {"listed": [], "read": [], "written": []}
for path in json.load(sys.stdin):
    for key, how in (("read", os.O_RDONLY), ("written", os.O_WRONLY | os.O_APPEND)):
        try:
            os.close(os.open(path, how))
            can[key].append(path)
        except OSError:
            pass
    try:
        os.listdir(path)
        can["listed"].append(path)
    except OSError:
        pass
print(json.dumps(can))
"""
SAMPLED = """
import sys
from pathlib import Path
from servers.core.dataset import DatasetStore
from servers.core.arms import served_by_of
from servers.core.services import Services
from servers.core.settings import load_settings
from servers.eval.custody import Custody
from servers.eval.sampling import Sampling
from servers.eval.sealed_sampling import sample_sealed
workspace, task = load_settings(Path(sys.argv[1])).open()
card = DatasetStore(workspace).head("demo")
asked = Sampling(workspace, task, Services()), card, sys.argv[2], served_by_of(sys.argv[2], workspace, task, [])
rows = Custody(workspace, task).gate(card)
try:
    sample_sealed(*asked, rows, limit_s=0)
except ValueError as error:
    assert "still answering" in str(error), error
    jobs = workspace.sealed_dir(card.name, card.gate_fingerprint) / "jobs"
    print(*jobs.glob("*/texts.jsonl"))
    sys.stdout.flush()
sys.stdin.readline()
print(len(sample_sealed(*asked, rows)))
"""


def block(kind: str, begins: str) -> str:
    """The code in the docs that begins with these words."""
    (found,) = [code for code in re.findall(rf"```{kind}\n(.*?)```", DOCS, re.DOTALL) if code.startswith(begins)]
    return str(found)


def open_to_all(path: Path) -> bool:
    return all(place.stat().st_mode & stat.S_IXOTH for place in path.resolve().parents)


def _linked(source: str, target: str) -> None:
    """A second name for a file, or a copy where that cannot be had."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


@dataclass(frozen=True)
class Machine:
    """A folder that stands for the root of a machine with two users."""

    root: Path
    python: Path

    @property
    def sealed(self) -> Path:
        return self.root / "srv/etude/sealed"

    @property
    def artifacts(self) -> Path:
        return self.root / "srv/etude/artifacts"

    @property
    def config(self) -> Path:
        return self.root / "srv/etude/etude.toml"

    def here(self, text: str) -> str:
        """A text of the docs with the paths and users of this machine."""
        text = re.sub(r"(?<![\w.])/(srv|opt)/etude", rf"{self.root}/\1/etude", text)
        text = text.replace("-o etude-eval", f"-o {EVAL}").replace("-o etude", f"-o {AGENT}")
        return text.replace("-g etude", f"-g {GROUP}")

    def run(
        self, user: int, *command: str, script: str | None = None, said: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a program, or a script of the shell, as one of the users, without a home."""
        words = ["/bin/sh", "-c", script] if script is not None else list(command)
        environment = {"PATH": f"{self.root}/bin:/usr/bin:/bin"}
        return subprocess.run(
            words, input=said, cwd=self.root / "srv/etude", env=environment, user=user, group=GROUP, extra_groups=[],
            umask=0o022, capture_output=True, text=True, check=False, timeout=LIMIT_S,
        )  # fmt: skip

    def etude(self, user: int, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run(user, str(self.root / "opt/etude/.venv/bin/etude"), *arguments)

    def cycle(self, options: str) -> subprocess.CompletedProcess[str]:
        """What the docs tell the agent's user to type, for one cycle."""
        return self.run(
            AGENT, script=self.here(block("sh", "umask 002").replace("cycle", f"cycle --json --cycles 1 {options}"))
        )

    def in_python(self, user: int, code: str, *arguments: str, said: str = "") -> str:
        done = self.run(user, str(self.root / "bin/python"), "-c", code, *arguments, said=said)
        assert done.returncode == 0, done.stderr
        return done.stdout


@dataclass(frozen=True)
class Finished:
    """A beginning and a cycle of the demo, once by two users and once by one."""

    machine: Machine
    document: dict[str, Any]
    alone: dict[str, Any]


def _installed(root: Path) -> Path:
    """Put Python and this program where everybody can run them; the interpreter."""
    python, libraries = Path(sys.executable).resolve(), Path(sysconfig.get_paths()["purelib"])
    base, source = Path(sys.base_prefix), ROOT
    if not open_to_all(python):
        unused = shutil.ignore_patterns("site-packages", "test", "tests", "config-*", "idlelib", "ensurepip")
        shutil.copytree(base / "lib", root / "python/lib", symlinks=True, ignore=unused, copy_function=_linked)
        (root / "python/bin").mkdir()
        python = Path(shutil.copy2(python, root / "python/bin"))
        base = root / "python"
    if not open_to_all(libraries / "numpy"):
        libraries = Path(shutil.copytree(libraries, root / "libraries", symlinks=True, copy_function=_linked))
    if not open_to_all(ROOT / "servers"):
        source = root / "opt/etude"
        for package in ("agent", "servers", "training_jobs"):
            shutil.copytree(ROOT / package, source / package, copy_function=_linked)
    for program, words in (("bin/python", ""), ("opt/etude/.venv/bin/etude", " -m agent.cli")):
        file = root / program
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(
            f'#!/bin/sh\nexport LD_LIBRARY_PATH={base}/lib PYTHONPATH={source}:{libraries}\nexec {python}{words} "$@"\n'
        )
        file.chmod(0o755)
    return python


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    place = next(Path(place) for place in (tempfile.gettempdir(), "/var/tmp") if open_to_all(Path(place) / "any"))
    root = Path(tempfile.mkdtemp(prefix="etude-two-users-", dir=place))
    before = os.umask(0o022)
    try:
        root.chmod(0o755)
        machine = Machine(root, _installed(root))
        folders = [line for line in block("sh", "groupadd").splitlines() if line.startswith("install")]
        assert len(folders) == 3
        (root / "srv").mkdir()
        for line in folders:
            subprocess.run(["/bin/sh", "-ec", machine.here(line)], check=True)
        files = {"etude.toml": block("toml", "artifacts"), "mcp.json": block("json", "{")}
        files["serve-eval"] = block("sh", "#!/bin/sh")
        files["serve-augment"] = files["serve-eval"].replace("serve eval", "serve augment")
        for name, content in files.items():
            (root / "srv/etude" / name).write_text(machine.here(content))
        (rule,) = re.findall(r"NOPASSWD: (\S+) \"\"\n", DOCS)
        allowed = [
            ["-n", "-u", "etude-eval", machine.here(rule).replace("serve-eval", f"serve-{room}")]
            for room in ("eval", "augment")
        ]
        for *_, script in allowed:
            Path(script).chmod(0o755)
        with Sudo(root / "bin/sudo", root / "bin/python", allowed, EVAL, GROUP):
            yield machine
    finally:
        os.umask(before)
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="module")
def finished(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    done = machine.cycle("--brain offline")
    assert done.returncode == 0, done.stderr
    alone = tmp_path_factory.mktemp("alone") / "artifacts"
    command = [sys.executable, "-m", "agent.cli", "cycle", "--json", "--cycles", "1", f"--artifacts={alone}"]
    by_one = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    assert by_one.returncode == 0, by_one.stderr
    return Finished(machine, json.loads(done.stdout), json.loads(by_one.stdout))


def told(document: dict[str, Any]) -> dict[str, Any]:
    """What a run came to, without what it took and where it lies."""
    cycles = [
        {key: value for key, value in cycle.items() if key not in ("seconds", "diagnose", "gate")}
        | {key: cycle["gate"][key] for key in ("difference", "ci", "n", "level")}
        | {"mae": {arm: measured["vector_mae"] for arm, measured in cycle["diagnose"].items() if measured}}
        for cycle in document["cycles"]
    ]
    return {"begin": document["begin"], "dataset": document["dataset"], "cycles": cycles}


def in_the_seal(machine: Machine) -> list[Path]:
    return [machine.sealed, *machine.sealed.rglob("*")]


def opened_by(machine: Machine, user: int, paths: list[Path]) -> dict[str, set[Path]]:
    """Which of the paths a user can list, read and write; each is tried."""
    said = machine.in_python(user, OPENED, said=json.dumps([str(path) for path in paths]))
    return {how: {Path(path) for path in found} for how, found in json.loads(said).items()}


def test_a_cycle_of_two_users_ends_as_that_of_one(finished: Finished):
    """Ours: whose processes they are changes nothing of what comes out, nor do homes that are not there."""
    check_document(finished.document)
    check_artifacts(finished.document)

    assert told(finished.document) == told(finished.alone)
    assert finished.document["begin"]["verdict"] == "promote"
    owners = {path.stat().st_uid for path in finished.machine.artifacts.rglob("*") if path.is_file()}
    assert owners == {AGENT, EVAL}


def test_the_agents_user_opens_nothing_of_the_seal_but_the_sketch(finished: Finished):
    """Ours: rows, answers and verdicts are closed to the agent's shell; the sketch is there to compare with."""
    paths = in_the_seal(finished.machine)
    files = {path for path in paths if path.is_file()}
    assert {"gate.jsonl", "sketch.npz", "verdicts.jsonl"} <= {path.name for path in files}
    assert any(path.name.endswith(".candidate.jsonl") for path in files), "what the models answered is there, too"

    agent, judge = (opened_by(finished.machine, user, paths) for user in (AGENT, EVAL))

    assert agent == {"listed": set(), "read": {p for p in files if p.name == "sketch.npz"}, "written": set()}
    assert judge == {"listed": set(paths) - files, "read": files | judge["listed"], "written": files}


def test_nothing_outside_the_seal_holds_a_sealed_text(finished: Finished):
    """Ours: no file that the two users share tells a sealed row."""
    assert check_seal(finished.document, finished.machine.sealed) == 600


def test_a_job_on_sealed_rows_is_closed_to_the_agents_user(finished: Finished):
    """Ours: a judged model, trained by one user, answers as a process of the other, inside the seal."""
    machine, model = finished.machine, finished.document["begin"]["champion"]
    sampling = subprocess.Popen(
        [machine.root / "bin/python", "-c", SAMPLED, machine.config, model], cwd=machine.root, user=EVAL, group=GROUP,
        extra_groups=[], umask=0o002, env={}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert sampling.stdout is not None
    texts = Path(sampling.stdout.readline().strip())

    agent, judge = (opened_by(machine, user, [texts.parent, texts]) for user in (AGENT, EVAL))
    out, _ = sampling.communicate("go on\n", timeout=LIMIT_S)

    assert agent == {"listed": set(), "read": set(), "written": set()} and texts in judge["read"]
    assert out.strip() == "600" and sampling.returncode == 0
    assert not texts.exists()


def test_the_wrong_user_is_told_whose_the_rows_are(finished: Finished):
    """Ours: one line says why, whose they are and what to read; nothing is written."""
    machine = finished.machine
    rows, alone = machine.root / "rows.jsonl", machine.root / "alone.json"
    world = World(7).splits()["train"][:100]
    written = [{"id": f"w{n}", "text": row.text, **row.target} for n, row in enumerate(world)]
    rows.write_text("".join(json.dumps(row) + "\n" for row in written))
    servers = json.loads((machine.root / "srv/etude/mcp.json").read_text())
    servers["mcpServers"]["eval"] = {"command": str(machine.root / "srv/etude/serve-eval")}
    alone.write_text(json.dumps(servers))
    whose = (
        f"the sealed rows in {machine.sealed} belong to uid {EVAL}, and this runs as uid {AGENT}; run it as uid {EVAL}"
    )

    imported = machine.etude(AGENT, "import", str(rows), "--name", "mine", "--config", str(machine.config))
    cycled = machine.etude(AGENT, "cycle", "--dataset", "demo-5", "--mcp", str(alone), "--config", str(machine.config))

    assert (imported.returncode, imported.stderr) == (1, f"etude import: {whose} (docs/own-user.md)\n")
    assert cycled.returncode == 1 and whose in cycled.stderr
    assert not (machine.artifacts / "datasets/mine").exists()
    assert "rows.jsonl" not in {path.name for path in in_the_seal(machine)}


def test_a_folder_that_is_not_shared_is_refused_at_the_start(machine: Machine):
    """Ours: a server that could not write says so in one line before it serves."""
    folder = machine.root / "not-shared"
    folder.mkdir()
    os.chown(folder, EVAL, GROUP)

    done = machine.etude(AGENT, "serve", "retrain", "--artifacts", str(folder))

    whose = f"{folder} belongs to uid {EVAL}, and uid {AGENT} may not use it; run this as uid {EVAL}, or let both users"
    assert done.returncode == 2 and done.stderr.startswith(f"etude: {whose}") and done.stderr.count("\n") == 1


def test_what_the_owner_imports_the_others_can_work_on(machine: Machine):
    """Ours: the open rows are the group's, the sealed ones are not."""
    world = World(8).splits()["train"][:100]
    written = [{"id": f"w{n}", "text": row.text, **row.target} for n, row in enumerate(world)]
    (machine.root / "srv/etude/rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in written))
    (import_command,) = re.findall(r"sh -c '(umask 002; .* import .*)'", DOCS)

    done = machine.run(EVAL, script=machine.here(import_command))

    assert done.returncode == 0, done.stderr
    opened = [machine.artifacts / "datasets/mine", *(machine.artifacts / "datasets/mine").rglob("*")]
    (sealed,) = (machine.sealed / "mine").iterdir()
    readable = opened_by(machine, AGENT, [*opened, *sealed.iterdir()])["read"]
    assert readable == {*opened, sealed / "sketch.npz"} and len(opened) == 7
    assert {path.stat().st_gid for path in opened} == {GROUP}
    assert {stat.S_IMODE(path.stat().st_mode) for path in opened if path.is_dir()} == {0o2775}


def test_where_the_augment_server_is_on_the_judges_side_not_even_the_sketch_is_open(machine: Machine):
    """Ours: the closer set-up of the docs; one user makes rows, the other trains on them."""
    shared, lists = stat.S_IMODE(machine.sealed.stat().st_mode), machine.root / "srv/etude/mcp.json"
    servers = json.loads(before := lists.read_text())
    eval_server = servers["mcpServers"]["eval"]
    servers["mcpServers"]["augment"] = json.loads(json.dumps(eval_server).replace("serve-eval", "serve-augment"))
    try:
        machine.sealed.chmod(0o700)
        lists.write_text(json.dumps(servers))
        done = machine.cycle("--dataset demo-4")
        sealed = in_the_seal(machine)
        agent = opened_by(machine, AGENT, sealed)
    finally:
        machine.sealed.chmod(shared)
        lists.write_text(before)

    assert done.returncode == 0, done.stderr
    assert agent == {"listed": set(), "read": set(), "written": set()}
    assert "sketch.npz" in {path.name for path in sealed}
    made = max(machine.artifacts.glob("loop/cycle_*/generated_augmented_pairs.jsonl"))
    assert made.stat().st_uid == EVAL and json.loads(done.stdout)["cycles"][0]["gate"] is not None
