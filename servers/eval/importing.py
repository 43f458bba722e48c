"""`etude import`: bring a file of texts and numbers in, split it, and seal the rows that judge.

The summary goes to stdout, all else to stderr. Nothing is written unless the whole import succeeds.
"""

import argparse
import json
import shlex
import sys
from collections import Counter
from pathlib import Path

from servers.core.dataset import Card, DatasetStore, SplitSizes
from servers.core.disk import digest, file_digest, now, write_json
from servers.core.services import Services
from servers.core.settings import load_settings
from servers.core.source_splits import SourceSplits, compare_splits, splits_of_source
from servers.core.task import Task
from servers.core.wire import Wire
from servers.core.workspace import Busy, Workspace, checked_name
from servers.eval.custody import RESERVED_PREFIX, Custody
from servers.eval.hub_source import local_sources
from servers.eval.renewing import Renewed, renew
from servers.eval.row_reading import Columns, Intake, take_in
from servers.eval.source_files import SPLIT_WORDS, open_sources
from servers.eval.splits import MIN_SIDE_ROWS
from servers.words_parser import WordsParser

MAX_NAME_CHARS = 50  # its beginning is called begin_<name>, and that is a folder's name as well
MIN_ROWS = 60  # three sides of 20
MAX_BAD_SHARE = 0.05
SHOWN_BAD_ROWS = 20
SHOWN_OF_A_REASON = 3
MANY_ROWS = 5000  # from here on, looking for near copies takes long enough to be announced
SHOWN_FIELDS_CHARS = 200

EXAMPLE = """example:
  etude import requests.csv --name mine --text request --target energy=e --target warmth=w

The other dimensions are then looked for under their own names. One row a line (.jsonl), or .csv, or .parquet.

  etude import train.jsonl validation.jsonl test.jsonl --name mine

Étude draws its own sides, with copies kept together, and says what the source's own splits share.

  etude import hf://NAMESPACE/NAME@REVISION --name mine

takes a dataset of the Hugging Face Hub; HF_TOKEN is needed where it is private."""


class NearCopyGroups(Wire):
    """Groups of more than one row."""

    groups: int
    rows: int
    """Rows in them."""
    largest: int
    """Rows in the largest of all groups."""


class ImportSummary(Wire):
    """What an import did."""

    schema_version: int = 1
    dataset: str
    fingerprint: str
    task: str
    already_there: bool
    """Whether the same rows had been imported under this name before; nothing was changed then."""
    read: int
    kept: int
    dropped_by_reason: dict[str, int]
    rows: SplitSizes
    near_copy_groups: NearCopyGroups
    near_copy_threshold: float
    source_splits: SourceSplits | None
    """What the splits that the source came with share; null where it came with none."""


def run(arguments: list[str]) -> int:
    """Do what the command line says; returns the exit code."""
    asked = _parser().parse_args(arguments)
    try:
        settings = load_settings(asked.config, asked.artifacts, asked.task)
        workspace, task = settings.open()
        with local_sources(asked.source, Services.here(settings)) as (paths, commits):
            summary = _import(asked, workspace, task, paths, commits)
    except (ValueError, Busy) as error:
        print(f"etude import: {error}", file=sys.stderr)
        return 1
    except PermissionError as error:
        print(f"etude import: {workspace.denied(error)}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"etude import: cannot use {error.filename!r}: {error.strerror or error}", file=sys.stderr)
        return 1
    if asked.json:
        print(json.dumps(summary.model_dump(), indent=2))
    else:
        print(_in_words(summary), *_next(summary, asked), sep="\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = WordsParser(
        prog="etude import",
        description="Bring your own rows in: a text and a number for each dimension of the task.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "source", nargs="+", help="files, or a folder of them: .jsonl, .csv or .parquet; or hf://NAMESPACE/NAME"
    )
    parser.add_argument("--name", required=True, help="what to call the dataset: a-z, 0-9, '-', '_', '.'")
    parser.add_argument("--artifacts", type=Path, metavar="DIR", help="the artifacts folder (default: artifacts)")
    parser.add_argument("--task", metavar="T", help="a built-in task or a task file (default: kotone)")
    parser.add_argument(
        "--config", type=Path, metavar="F", help="the configuration (default: etude.toml, if it is there)"
    )
    parser.add_argument("--text", metavar="COL", help="where the text stands; dots lead into nested fields")
    parser.add_argument(
        "--id", metavar="COL", help="where the id stands; rows without one get an id from their content"
    )
    parser.add_argument(
        "--target", metavar="DIM=COL", action="append", default=[], help="where a dimension's value stands"
    )
    parser.add_argument(
        "--split", choices=list(SPLIT_WORDS), help="take only this one of the source's own splits (default: all)"
    )
    parser.add_argument(
        "--max-bad-share",
        metavar="SHARE",
        type=_share,
        default=MAX_BAD_SHARE,
        help="refuse the file when more of its rows are bad, 0 to 1 (default: %(default)s)",
    )
    parser.add_argument(
        "--fresh-gate",
        action="store_true",
        help="seal these rows in place of the worn-out ones of a dataset that is there",
    )
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON document")
    return parser


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share; give a number from 0 to 1")
    return share


def _import(
    asked: argparse.Namespace, workspace: Workspace, task: Task, paths: list[Path], commits: dict[str, str]
) -> ImportSummary | Renewed:
    name = checked_name(asked.name, "dataset")
    if len(name) > MAX_NAME_CHARS or name.endswith("."):
        raise ValueError(f"dataset {name!r}: take at most {MAX_NAME_CHARS} characters, and none of '.' at the end")
    if name.startswith(RESERVED_PREFIX):
        raise ValueError(f"dataset {name!r}: names that begin with {RESERVED_PREFIX!r} are the demo's; choose another")
    columns = Columns(text=asked.text, id=asked.id, target=_target_columns(asked.target, task))
    sources = open_sources(paths, asked.split)
    intake = take_in(sources, task, columns)
    report = workspace.datasets_dir(name) / "import.json"
    least = MIN_SIDE_ROWS if asked.fresh_gate else MIN_ROWS
    refusal = _refusal(intake, ", ".join(asked.source), asked.max_bad_share, least)
    _show_rejected(intake, None if refusal else report)
    if refusal:
        raise ValueError(refusal)
    told = {
        "kind": "import",
        "source": ", ".join(source.path.name for source in sources),
        "source_digest": digest([file_digest(source.path) for source in sources]),
        "read": intake.read,
        "dropped_by_reason": intake.dropped(),
    }
    if commits:
        told["hub"] = commits
    if len(intake.kept) >= MANY_ROWS:
        print(f"{intake.read} rows read; looking for near copies and splitting them", file=sys.stderr)
    if own_splits := _own_splits(intake):
        told["source_splits"] = own_splits.model_dump()
    if asked.fresh_gate:
        with workspace.writing("etude import"):
            return renew(workspace, Custody(workspace, task), name, intake.kept, told)
    with workspace.writing("etude import"):
        already_there = name in DatasetStore(workspace).names()
        card = Custody(workspace, task).create(name, intake.kept, recipe=told)
        if not report.exists():
            rejected = [row.model_dump() for row in intake.rejected]
            write_json(report, {"schema": 1, "imported_at": now(), **told, "rejected": rejected})
    return _summary(card, intake, already_there)


def _target_columns(pairs: list[str], task: Task) -> dict[str, str]:
    columns: dict[str, str] = {}
    for pair in pairs:
        dimension, equals, column = pair.partition("=")
        if not equals or not column:
            raise ValueError(f"--target {pair!r} is not DIM=COL, e.g. --target {task.names[0]}=some_column")
        if dimension not in task.names:
            raise ValueError(
                f"--target {pair!r}: no dimension {dimension!r}; {task.name!r} has {', '.join(task.names)}"
            )
        if dimension in columns:
            raise ValueError(f"--target: {dimension!r} is given twice")
        columns[dimension] = column
    return columns


def _own_splits(intake: Intake) -> SourceSplits | None:
    """What the splits that the source came with share."""
    rows = intake.kept
    return compare_splits([row.text for row in rows], [row.provenance.get("split", "") for row in rows])


def _refusal(intake: Intake, source: str, max_bad_share: float, least: int) -> str | None:
    """Why the rows are not taken, if they are not."""
    if not intake.read:
        return f"{source!r} holds no rows"
    bad = len(intake.rejected)
    if bad > max_bad_share * intake.read:
        why = f"{bad} of {intake.read} rows are bad, more than --max-bad-share {max_bad_share:g} allows"
    elif len(intake.kept) < least:
        why = f"{len(intake.kept)} good rows are too few; at least {least} are needed"
    else:
        return None
    reasons = "; ".join(f"{reason}: {count}" for reason, count in list(intake.dropped().items())[:5])
    fields = ", ".join(map(repr, intake.fields))[:SHOWN_FIELDS_CHARS]
    said = [f"nothing was imported: {why}", *([reasons] if reasons else [])]
    if not intake.kept and fields:
        said.append(f"the first row has {fields}: say what is what with --text, --id and --target")
    return "; ".join(said)


def _show_rejected(intake: Intake, report: Path | None) -> None:
    shown: Counter[str] = Counter()
    for row in intake.rejected:
        if shown[row.reason] < SHOWN_OF_A_REASON and shown.total() < SHOWN_BAD_ROWS:
            shown[row.reason] += 1
            print(row, file=sys.stderr)
    if (more := len(intake.rejected) - shown.total()) > 0:
        print(f"and {more} more" + (f"; all of them are in {report}" if report else ""), file=sys.stderr)


def _summary(card: Card, intake: Intake, already_there: bool) -> ImportSummary:
    return ImportSummary(
        dataset=card.name,
        fingerprint=card.fingerprint,
        task=card.task,
        already_there=already_there,
        read=intake.read,
        kept=len(intake.kept),
        dropped_by_reason=intake.dropped(),
        rows=card.rows,
        near_copy_groups=NearCopyGroups.model_validate(card.recipe["near_copy_groups"]),
        near_copy_threshold=card.near_copy_threshold,
        source_splits=splits_of_source(card),
    )


def _in_words(summary: ImportSummary | Renewed) -> str:
    if isinstance(summary, Renewed):
        return summary.in_words()
    near, rows = summary.near_copy_groups, summary.rows
    dropped = ", ".join(f"{reason}: {count}" for reason, count in summary.dropped_by_reason.items())
    state = "was here already, nothing changed" if summary.already_there else f"version {summary.fingerprint}"
    own = summary.source_splits
    leaks = [own.words] if own and own.words else []
    copies = (
        f"{near.rows} rows in {near.groups} groups, the largest of {near.largest}, "
        f"at similarity {summary.near_copy_threshold:g}; none is parted"
    )
    return "\n".join(
        [
            f"{summary.dataset}: {state}",
            f"rows: {summary.read} read, {summary.kept} kept" + (f", dropped: {dropped}" if dropped else ""),
            f"splits: train {rows.train}, diagnose {rows.diagnose}, gate {rows.gate} (sealed)",
            f"near copies: {copies if near.groups else 'none'}",
            *leaks,
        ]
    )


def _next(summary: ImportSummary | Renewed, asked: argparse.Namespace) -> list[str]:
    """What to type next, in the same place and for the same task."""
    if isinstance(summary, Renewed) and summary.already_there:
        return []
    words = ["etude", "cycle", "--dataset", summary.dataset]
    for option in ("artifacts", "task", "config"):
        if (given := getattr(asked, option)) is not None:
            words += [f"--{option}", str(given)]
    return [f"next: {shlex.join(words)}"]
