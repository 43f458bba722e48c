"""The card of a trained model, as the Hugging Face Hub shows it: what it does, what it was made of, how well it does.

Written when a model is published, not when it is trained: the model's digest is that of the weights' folder, and the
evaluation comes after the training.
"""

from servers.core.definitions import DEFINITIONS
from servers.core.evaluations import Evaluation
from servers.core.job_files import TrainResult
from servers.core.lora import FAMILY, SYSTEM
from servers.core.task import Task

SHOWN = ("json_valid_rate", "p95_inference_latency_ms", "cost_per_100_requests_usd")
"""Besides the errors."""


def model_card(task: Task, made: TrainResult, evaluation: Evaluation | None) -> str:
    """The text of `README.md`, Markdown with the Hub's header.

    Args:
        task: What the model reads from a text.
        made: The training.
        evaluation: Of this model on the diagnose rows; None where it was not measured.

    Raises:
        ValueError: the evaluation is another model's.
    """
    if evaluation is not None and evaluation.served_by.digest != made.digest:
        raise ValueError(f"evaluation {evaluation.evaluation_id!r} is not of {made.model_id!r}; call evaluate_model")
    dimensions = [f"| `{d.name}` | {d.low} | {d.high} |" for d in task.dimensions]
    return "\n".join(
        [
            *_header(made),
            f"# {made.model_id}",
            "",
            f"{task.title}. Answers with one JSON object: a number from {task.scale.low:g} to {task.scale.high:g} for "
            f"each of {len(task.dimensions)} dimensions.",
            "",
            f"| dimension | {task.scale.low:g} means | {task.scale.high:g} means |",
            "|---|---|---|",
            *dimensions,
            "",
            "## Evaluation",
            "",
            *_evaluation(task, evaluation),
            "",
            "## Training",
            "",
            f"Trained in {made.seconds:.0f} s on {made.train_rows} rows of `{made.dataset}` at `{made.dataset_version}`"
            + (f", as an adapter on `{made.base}`{_at(made.base_revision)}." if made.base else "."),
            "",
            "| hyperparameter | value |",
            "|---|---|",
            *[f"| `{name}` | {value} |" for name, value in made.hparams.items()],
            "",
            "Versions: " + ", ".join(f"{name} {version}" for name, version in made.versions.items()) + ".",
            f"SHA-256 of the weights' folder: `{made.digest}`.",
            *(["", "## Asking it", "", *_question(task)] if made.family == FAMILY else []),
            "",
        ]
    )


def _header(made: TrainResult) -> list[str]:
    lines = ["---", "license: other", f"tags: [etude, {made.family}]"]
    if made.family == FAMILY:
        lines += ["library_name: peft", "pipeline_tag: text-generation"]
    if made.base and "/" in made.base:  # a folder is no repository that the Hub could lead to
        lines += [f"base_model: {made.base}"]
    return [*lines, "---"]


def _evaluation(task: Task, evaluation: Evaluation | None) -> list[str]:
    if evaluation is None:
        return ["Not measured yet."]
    names = ["vector_mae", *(f"mae_raw_{name}" for name in task.names), *SHOWN]
    rows = []
    for name in names:
        value, interval = evaluation.metrics.get(name), evaluation.intervals.get(name)
        if value is not None:
            between = "" if interval is None else f"{interval[0]:.4g} to {interval[1]:.4g}"
            rows.append(f"| `{name}` | {value:.4g} | {between} |")
    return [
        f"{evaluation.n} rows on which failures are looked for, and which were never trained on; "
        f"{evaluation.n_invalid} answers were invalid and count with the worst error. Whether a model is promoted is "
        "decided on other rows.",
        "",
        "| metric | value | 95 % interval |",
        "|---|---|---|",
        *rows,
        "",
        f"`vector_mae`: {DEFINITIONS['vector_mae'].formula}, points of the scale; lower is better.",
    ]


def _question(task: Task) -> list[str]:
    return [
        "The tokenizer lies beside the adapter. Where the chat template has a system message of its own, the model was "
        f"trained with `{SYSTEM}` in its place (`system` in `adapter.json` says whether). The question:",
        "",
        "```text",
        task.prompt_for("{text}").strip(),
        "```",
    ]


def _at(revision: str | None) -> str:
    return "" if revision is None else f" at `{revision}`"
