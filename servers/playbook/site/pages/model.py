"""One model: what it was trained on and how, how it did on the diagnose rows, when it served."""

from servers.core.models import trained_model
from servers.core.registry import Move
from servers.playbook.site.pages import Page
from servers.playbook.site.shelf import CycleLine, Shelf, digits_of


def model_page(shelf: Shelf, model: str) -> Page:
    """One trained model.

    Raises:
        ValueError: no job made it.
    """
    made = trained_model(shelf.workspace, model)
    task = shelf.task_of(made.dataset)
    measured = [one for one in shelf.measured if one.model == model]
    constants = {one.cycle: one for one in shelf.measured if one.model == "constant"}
    moves = shelf.moves(made.dataset)
    line = shelf.line(made.cycle)
    values = {
        "made": made,
        "base": None if made.base is None else _name_only(made.base),
        "measured": measured,
        "constants": constants,
        "names": task.names if task else [],
        "digits": digits_of(task),
        "moves": [move for move in moves if model in (move.model, move.previous)],
        "serves": bool(moves) and moves[-1].model == model,
        "line": line,
        "standing": _standing(moves, model, line),
    }
    return Page("model.html.j2", model, values)


def _standing(moves: list[Move], model: str, line: CycleLine | None) -> str:
    """What became of it, in words."""
    if moves and moves[-1].model == model:
        return "in service"
    if any(move.model == model for move in moves):
        return "was in service"
    if line is None or line.candidate != model:
        return "not the one that was judged"
    return {"promote": "promoted", "hold": "held", "undecided": "undecided", "stopped": "not judged"}.get(
        line.shown.verdict or "", "not judged yet"
    )


def _name_only(base: str) -> str:
    """A base without the folders that it lies in on this machine."""
    return base.rsplit("/", 1)[-1] if base.startswith(("/", "~", ".")) else base
