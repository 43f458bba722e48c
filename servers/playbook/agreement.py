"""Whether the tracker's words agree with what the eval server wrote; a reply is evidence only where they do.

Runs: every figure of the summary. Counts: as many root traces as rows were scored. Traces: text, target, answer and
errors of the row. Runs and traces that the eval server did not write are nobody's evidence, and are left alone, unless
they claim to belong to one of its evaluations.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from servers.core.evaluations import Evaluation, ScoredRow
from servers.core.words import cleaned
from servers.playbook.replies import ReportedCount, ReportedRun, ReportedTrace

TOLERANCE = 1e-6  # a number loses nothing in JSON; this covers trackers that keep fewer digits
SECONDARY = {"parse_error", "intent_score", "constraint_match", "slot_exact_match"}  # compared where they came
CUT = "..."  # how the official server ends a text that it cut


def check_run(run: ReportedRun, evaluation: Evaluation) -> None:
    """Compare a reported eval run with the evaluation it stands for.

    Raises:
        ValueError: a figure differs; the message names run, field and both values.
    """
    written: dict[str, float | None] = {**evaluation.metrics, "n": evaluation.n, "n_invalid": evaluation.n_invalid}
    reported = {name.removeprefix("eval/"): value for name, value in run.summary.items()}
    for name, value in reported.items():
        if name in written and not _same(value, written[name]):
            raise ValueError(_disagreement(f"run {run.run_id}", name, value, written[name]))


def check_count(count: ReportedCount, cycle: str, evaluations: Sequence[Evaluation]) -> None:
    """Compare a number of root traces with the rows that were scored.

    Args:
        count: What was reported, with the filters it was asked with.
        cycle: The cycle that is being recorded.
        evaluations: Its evaluations.

    Raises:
        ValueError: traces are missing or too many.
    """
    here = [e for e in evaluations if (e.entity, e.project) == (count.entity, count.project)]
    filters = {key: value for key, value in count.filters.items() if key != "trace_roots_only"}
    asked = filters.get("attributes")
    everything = sum(e.n for e in here)
    if not here or (filters and (set(filters) != {"attributes"} or not isinstance(asked, dict) or len(asked) != 1)):
        return  # another project, or a question whose answer the eval server does not know
    if not filters:
        expected, agrees = f"at least {everything}", count.roots >= everything
    elif asked == {"cycle": cycle}:
        expected, agrees = f"{everything}", count.roots == everything
    elif found := [e for e in here if asked == {"evaluation_id": e.evaluation_id}]:
        expected, agrees = f"{found[0].n}", count.roots == found[0].n
    else:
        return
    if not agrees:
        where = f"the count of {cleaned(count.entity, 64)}/{cleaned(count.project, 64)} with filters {filters}"
        raise ValueError(_disagreement(where, "root_traces_count", count.roots, expected))


def check_trace(trace: ReportedTrace, row: ScoredRow, text_name: str) -> None:
    """Compare a reported trace with the row it stands for.

    Raises:
        ValueError: a value is missing or differs; the message names trace, field and both values.
    """
    what = f"trace {trace.trace_id}"
    expected: dict[str, Any] = {
        "target": row.target_vector,
        "prediction": row.predicted_vector,
        "abs_error_by_dim": row.abs_error_by_dim,
        "mae_raw": row.mae_raw,
        "json_valid": row.json_valid,
    }
    for name, value in expected.items():
        if name not in trace.output:
            raise ValueError(
                f"{what} came without {name}; ask for fewer traces, with inputs, output and attributes; "
                "nothing was recorded"
            )
        _compare(what, name, trace.output[name], value)
    for name in SECONDARY & trace.output.keys():
        _compare(what, name, trace.output[name], getattr(row, name))
    for name, said in (("mode", row.mode), ("split", row.scenario)):
        _compare(what, name, trace.attributes.get(name, said), said)
    text = trace.inputs.get(text_name)
    if not isinstance(text, str):
        raise ValueError(f"{what} came without its {text_name}; ask for inputs; nothing was recorded")
    was_cut = text.endswith(CUT) and row.text.startswith(text.removesuffix(CUT))
    if text != row.text and not was_cut:
        raise ValueError(_disagreement(what, text_name, text, row.text))


def _compare(what: str, name: str, reported: Any, written: Any) -> None:
    if isinstance(written, Mapping):
        if not isinstance(reported, Mapping) or set(reported) != set(written):
            raise ValueError(_disagreement(what, name, reported, written))
        for key, value in written.items():
            _compare(what, f"{name}.{key}", reported[key], value)
    elif not _same(reported, written):
        raise ValueError(_disagreement(what, name, reported, written))


def _same(reported: Any, written: Any) -> bool:
    if isinstance(written, bool) or written is None or isinstance(reported, bool):
        return reported is written
    if isinstance(written, str) or not isinstance(reported, (int, float)):
        return bool(reported == written)
    return math.isclose(reported, written, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def _disagreement(what: str, name: str, reported: Any, written: Any) -> str:
    return (
        f"{what}: {name} is {cleaned(repr(reported), 120)} in the reply and {cleaned(repr(written), 120)} where the "
        "eval server wrote it; such a reply is no evidence; nothing was recorded"
    )
