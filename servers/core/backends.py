"""Which service stands behind each part: what is embedded is labelled as such wherever results are shown."""

from servers.core.wire import Wire

STAND_IN = "etude-wandb-local"  # how the W&B stand-in names itself in its handshake
TOGETHER = "etude"  # how the server names itself that has all of our tools, those of the stand-in among them
STAND_INS = (STAND_IN, TOGETHER)


class Backends(Wire):
    """What a run works with. Without keys every part is embedded."""

    tracking: str
    """Where runs and traces go: local = SQLite in the artifacts folder; wandb = there as well."""
    teacher: str
    """Who writes new examples: demo-world = the generator itself, recombination = clauses of the own train rows, else a
    language model's name."""
    model: str
    """The model in the loop: student = the CPU text model, else the base of a LoRA adapter."""
    jobs: str
    """Where training runs: local = processes of this machine, huggingface = Hugging Face Jobs."""

    prompt: str | None = None
    """The base model that is asked without training; null where none is."""

    def is_embedded(self, part: str) -> bool:
        """Whether a part needs no account: its results are labelled so."""
        embedded = {
            "tracking": ["local"],
            "teacher": ["demo-world", "recombination"],
            "model": ["student"],
            "jobs": ["local"],
        }
        return getattr(self, part) in embedded.get(part, [])
