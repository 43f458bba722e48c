"""Which service stands behind each part, and which of them are embedded: chosen here, shown wherever results are."""

from servers.core.dataset import Card
from servers.core.wire import Wire

STAND_IN = "etude-wandb-local"  # how the W&B stand-in names itself in its handshake


class Backends(Wire):
    """What a run works with. Without keys every part is embedded."""

    tracking: str
    """Where runs and traces go: local = SQLite in the artifacts folder."""
    teacher: str
    """Who writes new examples: demo-world = the generator itself, recombination = clauses of the own train rows."""
    model: str
    """The model in the loop: student = the CPU text model."""
    jobs: str
    """Where training runs: local = processes of this machine."""


def backends_for(card: Card) -> Backends:
    """The backends for one dataset."""
    return Backends(
        tracking="local",
        teacher="demo-world" if card.synthetic else "recombination",
        model="student",
        jobs="local",
    )


def tracking_coordinates(task_name: str) -> tuple[str, str]:
    """Entity and project under which runs and traces of a task are kept."""
    return "local", f"etude-{task_name}"
