"""Merge an adapter into its base: `python -m training_jobs.lora.merge JOB_DIR OUT`.

JOB_DIR is a finished training. OUT becomes a model of its own, in BF16, for whoever serves without PEFT. The sum is
taken in FP32 and rounded once.
"""

import sys
from pathlib import Path

import torch

from servers.core.job_files import MODEL, TrainSpec, read_spec
from servers.core.lora import read_description
from servers.core.models import model_digest
from training_jobs.lora.adapter import put_on
from training_jobs.lora.base import load_base


def merge(job: Path, out: Path) -> None:
    """Write the merged model.

    Raises:
        ValueError: the job is no finished training of an adapter, or there is something at `out`.
    """
    spec = read_spec(job)
    if not isinstance(spec, TrainSpec) or spec.base is None:
        raise ValueError(f"{job} is no training of an adapter")
    if out.exists() and any(out.iterdir()):
        raise ValueError(f"{out} is not empty; give a new folder")
    model_digest(job / MODEL)
    description = read_description(job / MODEL, spec.model_id, spec.task)
    base = load_base(spec.base, description.base_revision or spec.base_revision, dtype=torch.float32)
    model, tokenizer = put_on(base, job / MODEL)
    merged = model.merge_and_unload().to(torch.bfloat16)
    merged.save_pretrained(out)
    tokenizer.save_pretrained(out)


def main() -> int:
    """The command."""
    if len(sys.argv) != 3:
        print("usage: python -m training_jobs.lora.merge JOB_DIR OUT", file=sys.stderr)
        return 2
    try:
        merge(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
