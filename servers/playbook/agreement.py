"""Whether the tracker's words agree with what the eval server wrote; a reply is evidence only where they do.

Runs: every figure of the summary. Counts: as many root traces as rows were scored. Traces: text, target, answer and
errors of the row. Runs and traces that the eval server did not write are nobody's evidence, and are left alone, unless
they claim to belong to one of its evaluations.

What is compared is what is said, not how: a number may come as a text, as an integer, or rounded to its digits, a
mapping as JSON, nothing as null, NaN or not at all, and a long text cut at its end.
"""

import math
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from servers.core.evaluations import Evaluation, ScoredRow
from servers.core.words import cleaned
from servers.playbook.documents import is_unmeasured, mapping, number
from servers.playbook.replies import ReportedCount, ReportedRun, ReportedTrace

TOLERANCE = 1e-6  # a number loses nothing in JSON; this covers trackers that keep fewer digits
ROUNDED_TO = range(2, 7)  # decimals of a number that may be a rounded one; half a hundredth of a point decides nothing
MIN_CUT_CHARS = 20  # of a text that was cut: fewer say nothing about whose it is
SECONDARY = {"parse_error", "intent_score", "constraint_match", "slot_exact_match"}  # compared where they came
CUTS = ("...", "…")  # how servers end a text that they cut


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
    place = f"{count.entity}/{count.project}".lower()
    here = [e for e in evaluations if f"{e.entity}/{e.project}".lower() == place]
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
        if name not in trace.output and value is not None:
            raise ValueError(
                f"{what} came without {name}; ask for fewer traces, with inputs, output and attributes; "
                "nothing was recorded"
            )
        _compare(what, name, trace.output.get(name), value)
    for name in SECONDARY & trace.output.keys():
        _compare(what, name, trace.output[name], getattr(row, name))
    for name, said in (("mode", row.mode), ("split", row.scenario)):
        _compare(what, name, trace.attributes.get(name) or said, said)
    text = trace.inputs.get(text_name)
    if not isinstance(text, str):
        raise ValueError(f"{what} came without its {text_name}; ask for inputs; nothing was recorded")
    _compare(what, text_name, text, row.text)


def _compare(what: str, name: str, reported: Any, written: Any) -> None:
    if isinstance(written, Mapping):
        # A tracker may say in the mapping what kind of object it was.
        parts = {key: value for key, value in mapping(reported).items() if key in written or not key.startswith("_")}
        if set(parts) != set(written):
            raise ValueError(_disagreement(what, name, reported, written))
        for key, value in written.items():
            _compare(what, f"{name}.{key}", parts[key], value)
    elif not _same(reported, written):
        raise ValueError(_disagreement(what, name, reported, written))


def _same(reported: Any, written: Any) -> bool:
    if written is None:
        return is_unmeasured(reported)
    if isinstance(written, bool):
        return (
            reported == written if isinstance(reported, (bool, int)) else str(reported).lower() == str(written).lower()
        )
    if isinstance(written, str):
        return isinstance(reported, str) and _is_same_text(reported, written)
    value = number(reported)
    if value is None:
        return False
    return math.isclose(value, written, rel_tol=TOLERANCE, abs_tol=TOLERANCE) or _is_rounded(value, written)


def _is_rounded(value: float, written: float) -> bool:
    """Whether a number is another one with fewer decimals: nearer than half of its own last one."""
    return any(
        abs(value - written) <= 0.500001 * 10.0**-decimals
        and math.isclose(value, round(value, decimals), abs_tol=1e-12)
        for decimals in ROUNDED_TO
    )


def _is_same_text(reported: str, written: str) -> bool:
    said, meant = _plain(reported), _plain(written)
    if said == meant:
        return True
    beginning = next((said.removesuffix(cut) for cut in CUTS if said.endswith(cut)), None)
    return beginning is not None and len(beginning) >= MIN_CUT_CHARS and meant.startswith(beginning)


def _plain(text: str) -> str:
    """A text as it is drawn: one spelling of letters with marks, and of line ends."""
    return unicodedata.normalize("NFC", text).replace("\r\n", "\n")


def _disagreement(what: str, name: str, reported: Any, written: Any) -> str:
    return (
        f"{what}: {name} is {cleaned(repr(reported), 120)} in the reply and {cleaned(repr(written), 120)} where the "
        "eval server wrote it; such a reply is no evidence; nothing was recorded"
    )
