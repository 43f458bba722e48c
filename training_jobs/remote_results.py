"""What a job elsewhere left: downloaded at one revision, looked at byte by byte, and put where a job here leaves it."""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from servers.core.disk import read_json, read_jsonl
from servers.core.hub import HubError, asked
from servers.core.job_files import (
    BASE_PREDICTIONS,
    METRICS,
    MODEL,
    PREDICTIONS,
    RESULT,
    SampleResult,
    SampleSpec,
    TrainResult,
    TrainSpec,
    problem_in,
    write_wire,
)
from servers.core.models import model_digest
from servers.core.services import Services
from servers.core.words import cleaned
from training_jobs.cargo import Place

if TYPE_CHECKING:
    from huggingface_hub import HfApi

REASON_CHARS = 200


class Useless(Exception):
    """What the job left is not what it was for."""


def checked(folder: Path, spec: TrainSpec | SampleSpec) -> TrainResult | SampleResult:
    """The result that was fetched, after a look at every byte of the model.

    Raises:
        Useless: there is none, it is another job's, or the model is not the one that it names.
    """
    kind: type[TrainResult] | type[SampleResult] = TrainResult if isinstance(spec, TrainSpec) else SampleResult
    try:
        result = kind.model_validate(read_json(folder / RESULT))
    except FileNotFoundError:
        raise Useless(f"it left no {RESULT}") from None
    except ValidationError as error:
        raise Useless(f"its {RESULT} is damaged ({problem_in(error)})") from error
    except ValueError as error:
        raise Useless(f"its {RESULT} is no JSON") from error
    if (result.job_id, result.model_id) != (spec.job_id, spec.model_id):
        raise Useless(f"its result is that of {cleaned(result.job_id, REASON_CHARS)!r}")
    if isinstance(result, TrainResult):
        try:
            found = model_digest(folder / MODEL)
        except ValueError:
            raise Useless("it left no model") from None
        if found != result.digest:
            raise Useless("the model that it left is not the one that it names")
    elif len(list(read_jsonl(folder / PREDICTIONS))) != result.rows:
        raise Useless(f"it left other than {result.rows} answers")
    return result


def download_results(services: Services, api: "HfApi", place: Place, into: Path) -> str:
    """Bring the results to a folder; the commit that they are of.

    Raises:
        Useless: there are none.
        HubError: they could not be had.
    """
    try:
        sha = asked(services, "describe the results", lambda: api.repo_info(place.repo, repo_type=place.type).sha)
        asked(
            services,
            "hand over the results",
            lambda: api.snapshot_download(
                place.repo,
                repo_type=place.type,
                revision=sha,
                allow_patterns=[f"{place.folder}/{name}" for name in ("*.json", "*.jsonl", f"{MODEL}/*")],
                local_dir=into,
            ),
        )
    except HubError as error:
        if error.status == 404:
            raise Useless(f"left nothing in {place.repo}") from error
        raise
    return str(sha)


def put_in_place(fetched: Path, folder: Path, spec: TrainSpec | SampleSpec) -> None:
    """Link what was fetched to where a job on this machine leaves it, `result.json` last; may be repeated.

    Raises:
        Useless: it is not what the job was for.
    """
    result = checked(fetched, spec)
    shutil.rmtree(folder / MODEL, ignore_errors=True)
    if (fetched / MODEL).is_dir():
        shutil.copytree(fetched / MODEL, folder / MODEL, copy_function=os.link)
    for name in (PREDICTIONS, BASE_PREDICTIONS, METRICS):
        (folder / name).unlink(missing_ok=True)
        if (fetched / name).exists():
            os.link(fetched / name, folder / name)
    write_wire(folder / RESULT, result)
