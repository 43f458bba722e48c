"""How worn a sealed split is: each verdict may spend less than the one before, so a split does not judge for ever."""

from servers.core.disk import read_json
from servers.core.workspace import Workspace

# The bound on false promotions holds for any number, but the 51st verdict could only see gains twice as large as the
# first, as if three quarters of the rows were gone. `make proof` simulates as many as are allowed.
MAX_VERDICTS = 50


def worn_out(dataset: str, asked: int) -> str | None:
    """Why no more verdicts are given, and how to get a fresh split; None while there are some left.

    Args:
        dataset: Whose sealed split it is.
        asked: How many verdicts looked at its errors.
    """
    if asked < MAX_VERDICTS:
        return None
    return (
        f"the sealed rows of {dataset!r} are worn out: {asked} verdicts were asked of them, and each sees less than "
        "the one before; seal rows that nobody has seen, which retires these: "
        f"etude import FILE --name {dataset} --fresh-gate (of a demo take another: --dataset demo-1)"
    )


def verdicts_asked(workspace: Workspace, gate_fingerprint: str) -> int:
    """How many verdicts looked at a sealed split, as far as the cycles' gate.json tell; the judge keeps the count."""
    told = (read_json(path) for path in (workspace.root / "loop").glob("*/gate.json"))
    return max((gate["verdicts_asked"] for gate in told if gate.get("gate_fingerprint") == gate_fingerprint), default=0)
