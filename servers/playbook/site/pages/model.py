"""One model: what it was trained on and how, how it did on the diagnose rows, when it served."""

from servers.core.models import trained_model
from servers.core.registry import Move
from servers.playbook.site.archive import Archive, CycleLine, digits_of, without_folders
from servers.playbook.site.pages import Page


def model_page(archive: Archive, model: str) -> Page:
    """One trained model.

    Raises:
        ValueError: no job made it.
    """
    made = trained_model(archive.workspace, model)
    task = archive.task_of(made.dataset)
    measured = [one for one in archive.measured if one.model == model]
    constants = {one.cycle: one for one in archive.measured if one.model == "constant"}
    moves = archive.moves(made.dataset)
    line = archive.line(made.cycle)
    values = {
        "made": made,
        "base": None if made.base is None else without_folders(made.base),
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
