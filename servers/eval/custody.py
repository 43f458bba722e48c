"""Custody of the sealed rows: they are set apart here, read here, and told to nobody.

Only the eval server imports this module. Everything that knows a gate row (its text, its target, a model's answer to
it, a verdict's numbers) lies in the sealed folder, readable by its owner only. Outside stands how many rows there are
and a fingerprint of all of them together. Where the eval server has a user of its own, that user may let a group pass
through the sealed folder (mode 0710): the group can then read the sketches, and nothing else.
"""

import re
import secrets
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from servers.core.answers import Answer, ServedBy
from servers.core.dataset import Card, DatasetStore, Example, appearing, fingerprint, first_version, read_examples
from servers.core.demo_world.world import DIMENSIONS, World
from servers.core.disk import digest, read_jsonl, write_jsonl
from servers.core.near_copies import KEY_BYTES, SKETCH_FILE, THRESHOLD, Sketch, groups, near_any
from servers.core.progress import tell
from servers.core.task import Task
from servers.core.workspace import Workspace, checked_name
from servers.eval.splits import MIN_SIDE_ROWS, SIDES, Side, Splits, draw_sides, without_straddlers

DEMO = re.compile(r"demo(?:-([1-9][0-9]{0,8}))?")
RESERVED_PREFIX = "demo"
PRIVATE = 0o700
PASSABLE = (0o710, 0o2710)  # the second hands the group on to what is made inside


class Custody:
    """The sealed folder of one artifacts folder, for one task."""

    def __init__(self, workspace: Workspace, task: Task) -> None:
        self._workspace = workspace
        self._task = task
        self._store = DatasetStore(workspace)

    def ensure(self, name: str) -> Card:
        """The newest version of a dataset; 'demo' and 'demo-SEED' are written when they are first asked for.

        Raises:
            ValueError: there is no such dataset, or it is not of this task as the task stands now.
        """
        demo = DEMO.fullmatch(name)
        if demo and name not in self._store.names():
            tell(0, 1, "writing the demo's rows, and sealing a part of them")
            self._write_demo(name, seed=int(demo[1] or 0))
        card = self._store.head(name)
        self.refuse_other_task(card)
        return card

    def refuse_other_task(self, card: Card) -> None:
        """Rows keep the dimensions and the scale that they were imported with; a task file may be edited since.

        Raises:
            ValueError: the rows are of another task, or of this one before it was changed.
        """
        names, scale = self._task.names, self._task.scale
        if card.task != self._task.name:
            raise ValueError(
                f"dataset {card.name!r} is of task {card.task!r}, not of {self._task.name!r}; choose another"
            )
        for row in self._store.train(card.name, card.root):
            if set(row.target) != set(names) or not all(scale.low <= v <= scale.high for v in row.target.values()):
                raise ValueError(
                    f"dataset {card.name!r} was imported for other dimensions or another scale than task "
                    f"{self._task.name!r} has now: {', '.join(names)} from {scale.low:g} to {scale.high:g}; "
                    "undo the change to the task, or import the rows again under another name"
                )

    def create(
        self,
        name: str,
        examples: Sequence[Example],
        *,
        synthetic: bool = False,
        splits: Sequence[Side] | None = None,
        recipe: dict[str, Any],
    ) -> Card:
        """Begin a dataset. The same content again gives the dataset's first card and changes nothing.

        Args:
            name: Its name.
            examples: All rows.
            synthetic: Whether the demo world wrote them.
            splits: The side of each example. Near copies of rows on a side that matters more are then left out. Without
                it sides are drawn by groups of near copies.
            recipe: How the rows came to be; what is found out here is added to it.

        Raises:
            ValueError: the name holds other content, or the rows cannot be split. Nothing is written then.
        """
        texts = [example.text for example in examples]
        if splits is None:
            found = groups(texts)
            threshold, sizes = found.threshold, found.sizes()
            shared = sizes[sizes > 1]
            near = {"groups": len(shared), "rows": int(shared.sum()), "largest": int(sizes.max(initial=0))}
            sorted_rows = Splits.of(examples, draw_sides(examples, found))
            recipe = {**recipe, "near_copy_groups": near}
        else:
            threshold = THRESHOLD
            sorted_rows, lost = without_straddlers(Splits.of(examples, splits), threshold)
            recipe = {**recipe, "dropped_as_near_copies": lost}
        return self._save(name, sorted_rows, threshold, synthetic, recipe)

    def renew(self, head: Card, examples: Sequence[Example], recipe: dict[str, Any]) -> Card:
        """Seal rows that nobody has seen in place of the ones that judged so far, which are retired thereby.

        Args:
            head: The dataset's newest version.
            examples: Fresh rows. What is near a row that the dataset has or ever sealed is left out.
            recipe: How the rows came to be; how many were left out is added to it.

        Raises:
            ValueError: too few rows are left. Nothing is written then.
        """
        fresh = self._fresh(head, examples)
        if len(fresh) < MIN_SIDE_ROWS:
            raise ValueError(
                f"{len(examples) - len(fresh)} of {len(examples)} rows are near-copies of rows that {head.name!r} has "
                f"or had, and {len(fresh)} are left; a sealed split needs at least {MIN_SIDE_ROWS} fresh ones"
            )
        sealed = fingerprint(fresh)
        self._seal(head.name, sealed, fresh)
        recipe = {**recipe, "dropped_as_near_copies": len(examples) - len(fresh)}
        return self._store.save_resealed(head, len(fresh), sealed, recipe)

    def is_retired(self, card: Card) -> bool:
        """Whether these sealed rows judge no dataset any more, under any name, so that their verdicts may be told."""
        heads = (self._store.head(name) for name in self._store.names())
        return all(head.gate_fingerprint != card.gate_fingerprint for head in heads)

    def gate(self, card: Card) -> list[Example]:
        """The sealed rows.

        Raises:
            ValueError: they are missing, unreadable, or not the rows that the card was made with.
        """
        file = self._folder(card) / "gate.jsonl"
        try:
            rows = read_examples(file)
        except PermissionError:
            raise
        except OSError as error:
            raise ValueError(f"cannot read the sealed rows of {card.name!r}: {error}; restore the file") from error
        if fingerprint(rows) != card.gate_fingerprint:
            raise ValueError(f"the sealed rows of {card.name!r} in {file} are missing or changed; restore the file")
        return rows

    def count_near(self, card: Card, texts: Sequence[str], threshold: float | None = None) -> int:
        """How many of the texts are near copies of sealed rows, from the card's similarity on or from another.

        Raises:
            ValueError: the sketch of the sealed rows cannot be read.
        """
        sketch = Sketch.load(self._folder(card) / SKETCH_FILE)
        return int(sketch.near(texts, threshold or card.near_copy_threshold).sum())

    def keep_answers(self, card: Card, verdict_id: str, role: str, answers: Sequence[Answer]) -> None:
        """Keep what a model answered to the sealed rows for one verdict, so that it can be recomputed."""
        write_jsonl(self._answers_file(card, verdict_id, role), answers)

    def kept_answers(self, card: Card, verdict_id: str, role: str) -> list[Answer]:
        """The answers that were kept; none where the model had no part in the verdict."""
        return [Answer.model_validate(row) for row in read_jsonl(self._answers_file(card, verdict_id, role))]

    def keep_sampled(self, card: Card, answers: Sequence[Answer]) -> None:
        """Keep what a job brought of one model's answers to the sealed rows, for the verdicts that it has a part in."""
        write_jsonl(self._sampled_file(card, answers[0].served_by), answers)

    def sampled(self, card: Card, served_by: ServedBy) -> list[Answer]:
        """What a job brought; none where it was not asked."""
        return [Answer.model_validate(row) for row in read_jsonl(self._sampled_file(card, served_by))]

    def verdicts(self, card: Card) -> list[dict[str, Any]]:
        """All verdicts that this sealed split spent, oldest first.

        Raises:
            ValueError: the file is gone or damaged, so that nobody knows what was spent.
        """
        file = self._folder(card) / "verdicts.jsonl"
        # It is there from the beginning and replaced whole; read as empty, it would give back all that was spent.
        text = file.read_text(encoding="utf-8") if file.exists() else None
        if text is None or not (text.endswith("\n") or text == ""):
            raise ValueError(f"the verdicts of {card.name!r} in {file} are missing or cut short; restore the file")
        return list(read_jsonl(file))

    def append_verdict(self, card: Card, verdict: Any) -> None:
        """Add a verdict. The caller holds the workspace's lock."""
        # All anew, by rename: a crash in the middle of an appended line would cost the count of what was spent.
        write_jsonl(self._folder(card) / "verdicts.jsonl", [*self.verdicts(card), verdict])

    def _fresh(self, head: Card, examples: Sequence[Example]) -> list[Example]:
        texts = [example.text for example in examples]
        seen = [
            row.text for rows in (self._store.train, self._store.diagnose) for row in rows(head.name, head.fingerprint)
        ]
        near = near_any(texts, seen, head.near_copy_threshold)
        for card in {card.gate_fingerprint: card for card in self._store.versions(head.name)}.values():
            near |= Sketch.load(self._folder(card) / SKETCH_FILE).near(texts, head.near_copy_threshold)
        return [example for example, is_near in zip(examples, near, strict=True) if not is_near]

    def _write_demo(self, name: str, seed: int) -> None:
        if self._task.names != list(DIMENSIONS):
            raise ValueError(
                f"dataset {name!r} is music for the task 'kotone', not for {self._task.name!r}; "
                f"bring your own: etude import FILE --name NAME --task {self._task.name}"
            )
        world = World(seed).splits()
        sides = [side for side in SIDES for _ in world[side]]
        examples = [
            Example(
                id=f"{name}-{side}-{number:04d}",
                text=request.text,
                target={dimension: float(value) for dimension, value in request.target.items()},
                source="demo-world",
            )
            for side in SIDES
            for number, request in enumerate(world[side], start=1)
        ]
        self.create(name, examples, synthetic=True, splits=sides, recipe={"kind": "demo-world", "seed": seed})

    def _save(self, name: str, splits: Splits, threshold: float, synthetic: bool, recipe: dict[str, Any]) -> Card:
        gate_fingerprint = fingerprint(splits.gate)
        version = first_version(self._task.name, splits.train, splits.diagnose, gate_fingerprint)
        self._store.refuse_other(name, version)
        if name not in self._store.names():  # later, sealing again would forget the verdicts that were spent
            self._seal(name, gate_fingerprint, splits.gate)
        return self._store.save_first(
            name,
            task=self._task.name,
            train=splits.train,
            diagnose=splits.diagnose,
            gate_size=len(splits.gate),
            gate_fingerprint=gate_fingerprint,
            recipe=recipe,
            synthetic=synthetic,
            near_copy_threshold=threshold,
        )

    def _seal(self, name: str, gate_fingerprint: str, gate: Sequence[Example]) -> None:
        """Write the sealed folder, whole or not at all, unless it is there."""
        folder = self._workspace.sealed_dir(name, gate_fingerprint)
        if folder.exists():
            return
        mode = _passage(self._workspace.sealed_root)
        for above in (self._workspace.sealed_root, folder.parent):
            above.mkdir(mode=mode, parents=True, exist_ok=True)
            above.chmod(mode)
        with appearing(folder, mode=mode) as draft:
            write_jsonl(draft / "gate.jsonl", gate)
            Sketch.build([row.text for row in gate], secrets.token_bytes(KEY_BYTES)).save(draft / SKETCH_FILE)
            if mode != PRIVATE:
                (draft / SKETCH_FILE).chmod(0o640)
            write_jsonl(draft / "verdicts.jsonl", [])
            (draft / "evidence").mkdir(mode=PRIVATE)

    def _sampled_file(self, card: Card, served_by: ServedBy) -> Path:
        return self._folder(card) / "evidence" / f"sampled-{digest([served_by])[:16]}.jsonl"

    def _answers_file(self, card: Card, verdict_id: str, role: str) -> Path:
        return self._folder(card) / "evidence" / f"{checked_name(verdict_id, 'verdict')}.{role}.jsonl"

    def _folder(self, card: Card) -> Path:
        return self._workspace.sealed_dir(card.name, card.gate_fingerprint)


def _passage(sealed_root: Path) -> int:
    """Permissions of the folders down to a sketch: nobody but the owner passes, unless the owner lets the group."""
    mode = stat.S_IMODE(sealed_root.stat().st_mode) if sealed_root.exists() else PRIVATE
    return mode if mode in PASSABLE else PRIVATE
