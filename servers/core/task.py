"""A task: which numbers are read from a text, on which scale, and what counts as good enough. One TOML file.

Everything that differs between tasks stands here: dimensions, scale, prompt, keyword rules of the baseline, the choices
(tags, slots) derived from a vector, thresholds of the gate, and where the importer finds text and target in a file.
"""

import math
import tomllib
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError, model_validator

from servers.core.wire import Wire

TASKS = Path(__file__).parent / "tasks"

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
Share = Annotated[float, Field(ge=0, le=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Dimension(Wire):
    """One number that the model has to read from a text."""

    name: Name
    """Lower case; the key of an answer."""
    low: str
    """What the lowest value of the scale means."""
    high: str
    """What the highest value of the scale means."""


class Scale(Wire):
    """The values that a dimension may take, both ends included."""

    low: Finite = 0.0
    """The lowest value."""
    high: Finite = 100.0
    """The highest value."""
    integers: bool = False
    """Whether a careful labeller writes whole numbers: labels of new rows are rounded. Any answer may have decimals."""

    @property
    def width(self) -> float:
        return self.high - self.low

    @property
    def middle(self) -> float:
        return (self.low + self.high) / 2

    @model_validator(mode="after")
    def _has_a_width(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"scale: low {self.low} is not below high {self.high}")
        if not math.isfinite(self.width * self.width):  # squared errors are taken
            raise ValueError(f"scale: from {self.low} to {self.high} is too wide; choose other units")
        return self


class KeywordRule(Wire):
    """A text that holds one of the words moves dimensions by some points, once, whatever the number of hits."""

    words: list[str] = Field(min_length=1)
    """Beginnings of words, lower case: 'nostalg' meets 'nostalgic'."""
    points: dict[str, Finite] = Field(min_length=1)
    """By dimension, points added to the middle of the scale."""


class Choice(Wire):
    """One entry in an ordered list of choices: the first that applies is taken."""

    choose: str | None
    """What is chosen."""
    dimension: str | None = None
    """Whose value decides; left out in the last entry, which always applies."""
    above: Finite | None = None
    """Applies where the value is larger."""
    below: Finite | None = None
    """Applies where the value is smaller."""

    def applies(self, vector: dict[str, float]) -> bool:
        if self.dimension is None:
            return True
        value = vector[self.dimension]
        return (self.above is None or value > self.above) and (self.below is None or value < self.below)


class Derived(Wire):
    """What downstream code chooses from a vector; each list ends with an entry that always applies."""

    tags: dict[str, list[Choice]] = {}
    """A row matches when every list gives the same choice for prediction and target (constraint_match_rate)."""
    slots: dict[str, list[Choice]] = {}
    """Each list counts by itself (slot_exact_match)."""


class GateRules(Wire):
    """Thresholds of the gate, in points of the scale where not said otherwise."""

    min_json_valid_rate: Share = 0.98
    """The share of answers that have to be strict JSON of the task."""
    max_p95_latency_ms: Positive = 1200.0
    """How long 95 % of single requests may take at most."""
    min_gain: Positive
    """The smallest gain in vector_mae worth a promotion: rows that could not show it make a verdict undecided."""
    max_worse: Positive
    """No dimension may be worse than the champion's by more than this, as estimated."""


class Recipe(Wire):
    """How many rows one cycle adds."""

    new_rows: int = Field(100, ge=1, le=5000)
    """Asked of the teacher; the filters drop some."""
    replay_rows: int = Field(0, ge=0, le=5000)
    """Hard train rows that are trained on with double weight."""


class Layout(Wire):
    """Where the importer finds things in a row; of several paths the first that is there is taken.

    A path leads by dots into mappings, and by numbers into lists: 'messages.-1.content' is the last message's words.
    """

    id: list[str] = ["id"]
    """Rows without one get an id from their content."""
    text: list[str]
    """The text that is read."""
    target: list[str]
    """Dotted paths to a mapping from dimension to value, or to a string with one as JSON; '' is the row itself."""
    split: list[str] = ["split", "meta.split", "subset", "partition", "dataset_split", "fold"]
    """Which split of its own the source puts the row in; told, and never followed."""
    source: list[str] = ["source", "meta.source", "meta.generation_source"]
    """Who or what made the row, so that those who label differently are found."""


class Task(Wire):
    """One text-to-numbers task."""

    schema_version: int = Field(1, alias="schema", ge=1, le=1)
    """Of this file's layout."""
    name: Name
    """Short, for folders and projects."""
    title: str
    """One line, for people."""
    text_name: Name = "text"
    """What a text is called in traces, prompts and exports."""
    prompt: str
    """Instruction for a model that answers in words; {text} stands for the text, {dimensions} for the list."""
    scale: Scale = Scale()
    dimensions: list[Dimension] = Field(min_length=1, max_length=32)
    keywords: list[KeywordRule] = []
    derived: Derived = Derived()
    intent_points_per_error: Positive | None = None
    """A row's intent score is 100 less this for each hundredth of the scale by which it errs; None: there is none."""
    gate: GateRules
    augment: Recipe = Recipe()
    layout: Layout

    @property
    def names(self) -> list[str]:
        """The dimensions' names, in the order of the file."""
        return [dimension.name for dimension in self.dimensions]

    def prompt_for(self, text: str) -> str:
        """The whole instruction for one text."""
        lines = [f"- {d.name}: {self.scale.low:g} = {d.low}, {self.scale.high:g} = {d.high}" for d in self.dimensions]
        # Not str.format: a text may hold braces.
        return self.prompt.replace("{dimensions}", "\n".join(lines)).replace("{text}", text)

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"dimensions: a name stands twice in {self.names}")
        mentioned = {name for rule in self.keywords for name in rule.points}
        for kind, lists in (("tags", self.derived.tags), ("slots", self.derived.slots)):
            for key, choices in lists.items():
                mentioned |= {choice.dimension for choice in choices if choice.dimension is not None}
                if not choices or choices[-1].dimension is not None:
                    raise ValueError(
                        f"derived.{kind}.{key}: the last choice must apply always; leave out its dimension"
                    )
        if unknown := mentioned - set(self.names):
            raise ValueError(f"unknown dimension {sorted(unknown)[0]!r}; this task has {', '.join(self.names)}")
        if "{text}" not in self.prompt:
            raise ValueError("prompt: {text} is missing, so a model would never see the text")
        return self


def load_task(source: str) -> Task:
    """Read a task by the name of a built-in one ('kotone') or by the path of a TOML file.

    Raises:
        ValueError: there is no such task, the file is no TOML, or it describes no task; one line that says where.
    """
    built_in = TASKS / f"{source}.toml"
    path = built_in if "/" not in source and built_in.is_file() else Path(source)
    try:
        return Task.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        known = ", ".join(sorted(file.stem for file in TASKS.glob("*.toml")))
        raise ValueError(f"no task {source!r} ({error.strerror}); built in: {known}; or give a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "task"
        raise ValueError(f"{path}: {where}: {first['msg']}") from error
