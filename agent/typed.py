"""What was typed, so that a message can say what to type next."""

import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

WHERE = ("--artifacts", "--task", "--config")  # options that lead any word to the same place


@dataclass(frozen=True)
class Typed:
    """A command line of ours.

    Args:
        words: Behind the program.
        program: As it can be typed again.
    """

    words: Sequence[str] = ("cycle",)
    program: str = "etude"

    @classmethod
    def here(cls, words: Sequence[str]) -> "Typed":
        """That of our process; started other than by the console script, it is typed as if it had been."""
        given = Path(sys.argv[0])
        found = shutil.which("etude")
        known = given.name != "etude" or (found is not None and given.exists() and given.samefile(found))
        return cls(tuple(words), "etude" if known else str(given))

    @property
    def again(self) -> str:
        """The same command."""
        return shlex.join([self.program, *self.words])

    def other(self, *words: str) -> str:
        """Another word of ours, in the same place."""
        kept: list[str] = []
        for option, value in zip(self.words, [*self.words[1:], ""], strict=True):
            if option in WHERE:
                kept += [option, value]
            elif option.split("=")[0] in WHERE:
                kept.append(option)
        return shlex.join([self.program, *words, *kept])
