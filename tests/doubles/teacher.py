"""A teacher fed by a list."""

from collections.abc import Sequence

from servers.augment.aim import Aim
from servers.augment.teachers import Draft
from servers.core.dataset import Example


class ScriptedTeacher:
    """Hands over its drafts, and notes what it was asked for."""

    name = "scripted"

    def __init__(self, drafts: list[Draft]) -> None:
        self._drafts = drafts
        self.asked_for: list[Aim] = []

    def write(self, n: int, aim: Aim, seed: int, train: Sequence[Example]) -> list[Draft]:
        self.asked_for.append(aim)
        return self._drafts[:n]
