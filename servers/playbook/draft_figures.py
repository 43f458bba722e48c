"""The figures in the draft of a report: what was measured, where it errs, what the gate said, what data can teach."""

from collections.abc import Iterator, Sequence

from servers.core.phrases import counted, sentence
from servers.playbook.book import PROVES_NOTHING
from servers.playbook.markdown import escaped, table
from servers.playbook.report.view import ReportView
from servers.playbook.report.view_results import ArmShown, FailureShown, SliceShown
from servers.playbook.report.wording import estimate, figure, interval, number, percent, signed

WORDS_CHARS = 1000
QUOTE_CHARS = 240
MOST_FAILURES = 10


def results_in_words(view: ReportView) -> Iterator[str]:
    if not view.arms:
        yield "Nothing was measured."
        return
    yield f"Errors are points of the task's scale on the diagnose rows, with 95% intervals; {PROVES_NOTHING}."
    changed = {difference.name: difference for difference in view.differences}

    def row(label: str, name: str) -> list[str]:
        values = [_error(view, arm, name) for arm in view.arms]
        if name in changed:
            found = changed[name]
            values.append(f"{signed(found.difference, view.digits)} ({interval(found.ci, view.digits)})")
        elif changed:
            values.append("")
        return [escaped(label), *values]

    header = ["error", *(arm.role for arm in view.arms), *(["candidate less champion"] if changed else [])]
    yield table(header, [row("all together", "vector_mae"), *(row(name, name) for name in view.names)])
    metrics = list(dict.fromkeys(name for arm in view.arms for name, value in arm.metrics.items() if value is not None))
    yield table(
        ["metric", *(arm.role for arm in view.arms)],
        [[escaped(name), *(figure(arm.metrics.get(name)) for arm in view.arms)] for name in metrics],
    )
    for by, slices in (("length of the text", view.by_length), ("source", view.by_source)):
        if slices:
            yield _sliced(view, by, slices)


def _error(view: ReportView, arm: ArmShown, name: str) -> str:
    return estimate(arm.vector_mae if name == "vector_mae" else arm.by_dimension.get(name), view.digits)


def _sliced(view: ReportView, by: str, slices: Sequence[SliceShown]) -> str:
    roles = list(dict.fromkeys(role for part in slices for role in part.errors))
    rows = [
        [escaped(part.name), str(part.n), *(estimate(part.errors.get(role), view.digits) for role in roles)]
        for part in slices
    ]
    return table([by, "rows", *roles], rows)


def gate_in_words(view: ReportView) -> Iterator[str]:
    yield "### The gate"
    gate = view.gate
    if gate is None:
        yield "No verdict was asked of the sealed rows."
        return
    gain = "sealed" if gate.difference is None else f"{signed(gate.difference, view.digits)} points"
    reach = "" if gate.ci is None else f" ({percent(1 - 2 * gate.level)} interval {interval(gate.ci, view.digits)})"
    left = "" if gate.level_left is None else f"; the next verdict may spend {gate.level_left:.4g}"
    yield (
        f"{escaped(gate.outcome)}: {escaped(sentence(gate.reason), WORDS_CHARS)} Verdict {gate.verdicts_asked or 1} of "
        f"this split, {counted(gate.n, 'sealed row')}, level {gate.level:.4g}, difference {gain}{reach}{left}."
    )
    said = {True: "yes", False: "no", None: "does not apply"}
    yield table(
        ["check", "passed", "detail", "found on"],
        [[escaped(c.name), said[c.passed], escaped(c.detail), escaped(c.evidence)] for c in gate.checks],
    )


def hard_cases_in_words(view: ReportView) -> Iterator[str]:
    if not view.failures:
        yield "No failures were recorded."
        return
    shown = view.failures[:MOST_FAILURES]
    all_of_them = counted(len(view.failures), "failure")
    yield f"The worst {len(shown)} of {all_of_them} of {escaped(view.failures_of)}, in points."
    header = ["text", "error", "by dimension: answer, target", "trace"]
    yield table(header, [_failure(failure) for failure in shown])


def _failure(failure: FailureShown) -> list[str]:
    answered = failure.prediction
    pairs = [
        f"{name} {'no valid answer' if answered is None else number(answered[name], 0)}, {number(target, 0)}"
        for name, target in failure.target.items()
    ]
    return [
        escaped(failure.text, QUOTE_CHARS),
        number(failure.mae, 1),
        escaped("; ".join(pairs), WORDS_CHARS),
        escaped(failure.trace_url or failure.trace),
    ]


def diagnosis_in_words(view: ReportView) -> Iterator[str]:
    found = view.diagnosis
    if found is None:
        yield "Nobody asked."
        return
    yield f"{escaped(found.verdict)}: {escaped(sentence(found.reason), WORDS_CHARS)}"
    yield table(
        ["dimension", "signal", "R2", "a text model's error", "a constant's", "what it means"],
        [
            [
                escaped(one.dimension),
                one.signal,
                number(one.r2),
                number(one.text_model_mae),
                number(one.constant_mae),
                escaped(one.words),
            ]
            for one in found.dimensions
        ],
    )
    yield from (escaped(sentence(warning), WORDS_CHARS) for warning in found.warnings)


def latency_in_words(view: ReportView) -> str:
    rows = [
        [arm.role, estimate(arm.vector_mae, view.digits), figure(arm.metrics.get("p95_inference_latency_ms"))]
        for arm in view.arms
    ]
    return table(["role", "vector\\_mae", "p95 latency, ms"], rows)


def curve_in_words(view: ReportView) -> Iterator[str]:
    if view.curve is None and not view.versions:
        yield "Nothing was trained."
        return
    if view.curve is not None:
        yield f"{escaped(view.curve.model)}, trained on ever more of its rows; errors in points."
        yield table(
            ["train rows", "diagnose rows", "train rows left out"],
            [[str(p.train_rows), number(p.diagnose), number(p.left_out)] for p in view.curve.points],
        )
    if view.versions:
        yield table(
            ["model", "cycle", "train rows", "error", "promoted"],
            [
                [
                    escaped(one.model),
                    escaped(one.cycle),
                    str(one.train_rows),
                    estimate(one.error, view.digits),
                    "yes" if one.promoted else "no",
                ]
                for one in view.versions
            ],
        )
