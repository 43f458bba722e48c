"""Train an adapter by TRL on prompt and completion, the loss on the completion only, the text tower only.

A killed training goes on from its last whole checkpoint, over the same rows in the same order, to the same adapter.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import peft
import torch
import transformers
import trl
from peft import LoraConfig
from trl import SFTConfig, SFTTrainer

from servers.core.answers import Answer, ServedBy
from servers.core.dataset import read_examples
from servers.core.disk import digest, file_digest, write_jsonl
from servers.core.job_files import METRICS, MODEL, PREDICTIONS, TrainResult, TrainSpec
from servers.core.lora import LoraDescription, LoraHparams
from servers.core.models import model_digest
from training_jobs.job import VERSIONS, Job
from training_jobs.lora.adapter import read_back, save_adapter
from training_jobs.lora.base import TEXT_TOWER, Base, device, device_memory, load_base, number_type
from training_jobs.lora.chat import system_message, training_rows
from training_jobs.lora.checkpoints import CHECKPOINTS, KEPT, newest
from training_jobs.lora.generating import Answerer
from training_jobs.lora.watching import Watcher

ARM = "fine_tuned"
SAVES = 8  # checkpoints over a whole training
ROOM_BYTES = 70e9  # a GPU with so much memory keeps what the backward pass needs; a smaller one computes it again
PHASES = 3  # loading, saving, answering
LORA_VERSIONS = VERSIONS | {lib.__name__: lib.__version__ for lib in (torch, transformers, trl, peft)}


def train(job: Job[TrainSpec]) -> None:
    """Do a training job of family `lora`."""
    with device_memory():
        _train(job)


def _train(job: Job[TrainSpec]) -> None:
    spec, task = job.spec, job.spec.task
    hparams = LoraHparams.model_validate(spec.hparams)
    if spec.base is None:
        raise ValueError("an adapter needs a base to be trained on; set [model] base and plan_retrain again")
    examples = read_examples(job.file(spec.train_file))
    watched = read_examples(job.file(spec.texts_file))
    work = digest([spec, file_digest(job.file(spec.train_file))])
    checkpoints = job.folder / CHECKPOINTS
    resumed = newest(checkpoints, work)

    job.say(f"loading {spec.base}", of=PHASES)
    base = load_base(spec.base, resumed.note.base_revision if resumed else spec.base_revision)
    system = system_message(base.tokenizer)
    rows = training_rows(task, examples, system)
    trainer = build_trainer(base, rows, hparams, spec.seed, checkpoints)
    answerer = Answerer(trainer.model, base.tokenizer, task, system)
    steps_an_epoch = epoch_steps(len(rows), hparams)
    trainer.add_callback(Watcher(job, answerer, watched, steps_an_epoch, base.revision, work, PHASES))

    if resumed:
        shutil.copyfile(resumed.folder / METRICS, job.folder / METRICS)
        print(f"going on from step {resumed.note.step}", flush=True)
    trainer.train(resume_from_checkpoint=str(resumed.folder) if resumed else None)

    steps = steps_an_epoch * hparams.epochs
    job.say("saving the adapter", steps + PHASES, steps + 2)
    description = LoraDescription(
        base=base.name, base_revision=base.revision, system=system, prompt=task.prompt,
        names=task.names, low=task.scale.low, high=task.scale.high, hparams=hparams, schema=1,
    )  # fmt: skip
    folder = job.folder / MODEL
    save_adapter(trainer.model, base, description, folder)
    found = model_digest(folder)

    job.say(f"answering {len(watched)} diagnose rows", steps + PHASES, steps + PHASES)
    read_back(trainer.model, folder)  # what was saved answers, not what is in memory: it is what will serve
    served_by = ServedBy(backend=ARM, model_id=spec.model_id, digest=found)
    words = answerer.answer([row.text for row in watched])
    write_jsonl(
        job.folder / PREDICTIONS,
        [
            Answer(id=row.id, text=one.text, latency_ms=None, served_by=served_by)
            for row, one in zip(watched, words, strict=True)
        ],
    )
    shutil.rmtree(checkpoints, ignore_errors=True)
    job.finish(
        TrainResult(
            job_id=spec.job_id,
            model_id=spec.model_id,
            digest=found,
            family=spec.family,
            hparams=hparams.model_dump(),
            dataset=spec.dataset,
            dataset_version=spec.dataset_version,
            cycle=spec.cycle,
            train_rows=len(examples),
            base=base.name,
            base_revision=base.revision,
            seconds=job.seconds,
            versions=LORA_VERSIONS,
        )
    )


def build_trainer(
    base: Base, rows: Sequence[dict[str, Any]], hparams: LoraHparams, seed: int, checkpoints: Path
) -> Any:
    """TRL's trainer, which puts a fresh adapter on the base.

    Args:
        base: Is changed.
        rows: Prompt and completion of each, as chats.
        hparams: The recipe.
        seed: Draws the adapter's first weights, what is dropped and the order of the rows.
        checkpoints: Where they go.

    Raises:
        ValueError: a row is longer than the recipe allows.
    """
    datasets.disable_progress_bars()
    trainer = SFTTrainer(
        model=base.model,
        args=_settings(hparams, seed, checkpoints, len(rows)),
        train_dataset=datasets.Dataset.from_list(list(rows)),
        processing_class=base.tokenizer,
        peft_config=LoraConfig(
            r=hparams.lora_r,
            lora_alpha=hparams.lora_alpha,
            lora_dropout=hparams.lora_dropout,
            target_modules=TEXT_TOWER,
            task_type="CAUSAL_LM",
        ),
    )
    trainer.remove_callback(transformers.PrinterCallback)
    _refuse_cut_rows(trainer.train_dataset, len(rows), base.tokenizer.eos_token_id, hparams)
    return trainer


def _settings(hparams: LoraHparams, seed: int, checkpoints: Path, rows: int) -> Any:
    on_gpu, dtype = device().type == "cuda", number_type()
    steps = epoch_steps(rows, hparams) * hparams.epochs
    settings = SFTConfig(
        output_dir=str(checkpoints),
        seed=seed,
        data_seed=seed,
        num_train_epochs=hparams.epochs,
        learning_rate=hparams.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=round(hparams.warmup_share * steps),
        weight_decay=hparams.weight_decay,
        max_grad_norm=hparams.max_grad_norm,
        per_device_train_batch_size=hparams.batch_size,
        gradient_accumulation_steps=hparams.gradient_accumulation,
        max_length=hparams.max_length,
        completion_only_loss=True,
        use_cpu=not on_gpu,
        bf16=dtype == torch.bfloat16,
        fp16=dtype == torch.float16,
        activation_checkpointing=on_gpu and torch.cuda.get_device_properties(0).total_memory < ROOM_BYTES,
        dataloader_pin_memory=on_gpu,
        save_strategy="steps",
        save_steps=max(1, -(-steps // SAVES)),
        save_total_limit=KEPT,
        logging_steps=1,
        logging_nan_inf_filter=False,  # a loss that is no number ends the training instead
        report_to="none",
        disable_tqdm=True,
    )
    settings._n_gpu = min(1, settings.n_gpu)  # a batch is what the recipe says, however many GPUs there are
    return settings


def epoch_steps(rows: int, hparams: LoraHparams) -> int:
    """Steps of the optimizer in an epoch."""
    batches = -(-rows // hparams.batch_size)
    return -(-batches // hparams.gradient_accumulation)


def _refuse_cut_rows(prepared: Any, rows: int, end: int, hparams: LoraHparams) -> None:
    """Refuse rows that were cut at the longest length: learned from, they would teach answers without an end."""
    cut = rows - sum(labels[-1] == end for labels in prepared["labels"])
    if cut:
        raise ValueError(
            f"{cut} of {rows} rows have more than {hparams.max_length} tokens, or answers that do not end with the "
            "end token; raise max_length, or leave long texts out"
        )
