"""Who may import whom, read from the source."""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = {"agent", "servers", "training_jobs"}
HEAVY = {
    "altair",
    "datasets",
    "huggingface_hub",
    "mistralai",
    "pandas",
    "ray",
    "scipy.stats",
    "sklearn",
    "torch",
    "vl_convert",
    "wandb",
    "weave",
}


def imports(path: Path) -> set[str]:
    """Every module that a file names in an import, wherever in the file it stands."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def offences(folder: str, forbidden: tuple[str, ...]) -> list[str]:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files, f"{folder} has no Python files, so nothing was checked"
    return [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in files
        for module in sorted(imports(path))
        if any(module == name or module.startswith(name + ".") for name in forbidden)
    ]


def test_the_agent_knows_nothing_but_mcp():
    """Ours: what the agent does to the world is a tools/call that a person could have made."""
    assert offences("agent", ("servers", "training_jobs", "tests")) == []


def test_the_core_knows_no_protocol_and_no_framework():
    """Ours: the judge's arithmetic can be read and used without a server."""
    assert offences("servers/core", ("mcp", "torch", "agent", "training_jobs", "servers.eval", "servers.room")) == []


def test_servers_start_jobs_as_processes():
    """Ours: a server and a job share files, not memory."""
    assert offences("servers", ("training_jobs", "agent")) == []


def test_jobs_use_the_core_and_nothing_else_of_the_servers():
    """Ours: a job runs on a machine where no server does."""
    rooms = tuple(f"servers.{p.stem}" for p in (ROOT / "servers").iterdir() if p.stem not in {"core", "__init__"})
    assert offences("training_jobs", (*rooms, "agent", "mcp")) == []


def test_only_the_eval_server_opens_the_sealed_split():
    """Ours: custody of the sealed rows is one module, used in one room."""
    users = {
        path.relative_to(ROOT).parts[1]
        for path in (ROOT / "servers").rglob("*.py")
        if "servers.eval.custody" in imports(path)
    }
    assert users == {"eval"}


def test_no_server_loads_a_heavy_library_to_start():
    """Ours: a client waits for tools/list; what takes seconds to import is imported where it is used."""
    rooms = ["eval", "augment", "retrain", "playbook", "wandb_local"]
    code = "import sys, importlib\n" + "".join(f"importlib.import_module('servers.{room}.server')\n" for room in rooms)
    code += f"print(sorted(set({sorted(HEAVY)!r}) & set(sys.modules)))"

    printed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert printed.strip() == "[]"
