"""Views of the report for its tests: promoted, held, stopped, of any number of dimensions; and ways to read a page."""

import random
from typing import Any
from xml.etree import ElementTree

from servers.core.task import Dimension, GateRules, Scale
from servers.playbook.report.view import (
    BackendShown,
    ContextShown,
    DatasetShown,
    DefinitionShown,
    PlanShown,
    ReportView,
    ToolCalls,
)
from servers.playbook.report.view_base import CycleShown, Estimate
from servers.playbook.report.view_results import (
    ArmShown,
    CheckShown,
    DiagnosisShown,
    FailureShown,
    GateShown,
    Pairs,
    PredictionsShown,
    SignalShown,
)
from servers.playbook.report.view_work import (
    AugmentationShown,
    LessonShown,
    NewExample,
    RemedyShown,
    SettingChange,
    TrainingShown,
)

POLES = {
    "energy": ("motionless", "frantic"),
    "warmth": ("cold, distant", "an embrace"),
    "brightness": ("pitch dark", "blazing daylight"),
    "acousticness": ("machines only", "hands, wood and breath"),
    "complexity": ("a single line", "a maze of parts"),
    "nostalgia": ("made tomorrow", "lost in memory"),
}
REQUESTS = [
    "A bedtime tune for a lighthouse keeper: slow, one piano, nothing that startles the gulls.",
    "Something like the arcade by the station in 1987, tape hiss and all, but you can dance to it.",
    "Score the moment the tram lights go out. Cold strings, no melody to hold on to.",
    "Bright and busy, four guitars arguing about lunch.",
]
OLD, NEW = "student-4be1c07a92d3", "student-90f3de6a517c"
TRACE = "7f3c9e{:026x}"


def make_arm(role: str, model: str, errors: dict[str, float], **more: Any) -> ArmShown:
    mean = sum(errors.values()) / len(errors)
    return ArmShown(
        role=role,
        model=model,
        n=140,
        vector_mae=Estimate(value=mean, se=0.42),
        by_dimension={name: Estimate(value=value, se=value / 18) for name, value in errors.items()},
        **more,
    )


def make_arms(names: list[str]) -> list[ArmShown]:
    rng = random.Random(3)
    constant = {name: rng.uniform(15, 20) for name in names}
    share = {name: rng.uniform(0.7, 0.98) for name in names}
    champion = {name: constant[name] * share[name] for name in names}
    candidate = {name: champion[name] * rng.uniform(0.8, 1.02) for name in names}
    candidate[names[-1]] = champion[names[-1]] * 0.74
    metrics = {"mse_norm": 0.0374, "r2_score": 0.31, "json_valid_rate": 1.0, "intent_score_mean": 70.6}
    return [
        make_arm(
            "constant", "constant", constant, metrics={"mse_norm": 0.0512, "r2_score": -0.02, "json_valid_rate": 1.0}
        ),
        make_arm("rule", "rule", {name: value * 0.91 for name, value in constant.items()}, metrics={"r2_score": None}),
        make_arm("champion", OLD, champion, metrics=metrics, run="eval-51c0aa92be07"),
        make_arm("candidate", NEW, candidate, metrics=metrics | {"r2_score": 0.42}, run="eval-0c77d1f3a8e4"),
    ]


def make_predictions(names: list[str], rows: int = 140) -> PredictionsShown:
    rng = random.Random(5)
    pairs = {}
    for k, name in enumerate(names):
        slope = 0.0 if name == "complexity" else 0.55 + 0.05 * (k % 4)
        true = [min(max(rng.gauss(50, 22), 0), 100) for _ in range(rows)]
        predicted = [min(max(50 + slope * (t - 50) + rng.gauss(0, 9 * bool(slope)), 0), 100) for t in true]
        pairs[name] = Pairs(true=[round(t) for t in true], predicted=predicted)
    return PredictionsShown(role="candidate", model=NEW, by_dimension=pairs)


def make_failures(names: list[str], texts: list[str]) -> list[FailureShown]:
    rng = random.Random(7)
    failures = []
    for k, text in enumerate(texts):
        target = {name: float(rng.randrange(0, 101)) for name in names}
        answer = {name: round(min(max(50 + rng.gauss(0, 14), 0), 100), 1) for name in names}
        errors = {name: abs(target[name] - answer[name]) for name in names}
        mae = sum(errors.values()) / len(errors)
        failures.append(
            FailureShown(trace=TRACE.format(k), text=text, target=target, prediction=answer, errors=errors, mae=mae)
        )
    return sorted(failures, key=lambda failure: -failure.mae)


def make_gate(outcome: str, **more: Any) -> GateShown:
    shown = [
        CheckShown(name="json_valid_rate", passed=True, detail="1.000, at least 0.98", evidence="diagnose rows"),
        CheckShown(
            name="no_leakage", passed=True, detail="0 training rows are near-copies of sealed rows, none allowed"
        ),
        CheckShown(name="p95_latency_ms", passed=True, detail="0.6 ms, at most 1200"),
        CheckShown(name="prompt_arm", passed=None, detail="not applicable: no prompt arm"),
    ]
    return GateShown(
        outcome=outcome,
        candidate=NEW,
        champion=OLD,
        n=210,
        level=0.0333,
        verdicts_asked=2,
        level_left=0.0042,
        smallest_visible=0.31,
        verdict_id="verdict-2",
        checks=shown,
        **more,
    )


def promoted_gate() -> GateShown:
    gate = make_gate(
        "promote",
        reason="vector_mae differs by -1.284 points over 210 sealed rows",
        difference=-1.284,
        ci=(-1.71, -0.86),
    )
    better = CheckShown(
        name="vector_mae_better_than_champion", passed=True, detail="-1.284 points, p 4.1e-08, at most 0.0333"
    )
    worse = CheckShown(
        name="no_dimension_much_worse", passed=True, detail="energy +0.210 points is the least favourable, at most +1.5"
    )
    return gate.model_copy(update={"checks": [*gate.checks, better, worse]})


def make_history() -> list[CycleShown]:
    return [
        CycleShown(
            cycle="begin_demo",
            dataset="demo",
            verdict="promote",
            reason="the first model beats the constant",
            level=0.025,
            champion_before="constant",
            champion_after="student-11aa0b5c7e90",
            difference=-2.91,
            ci=(-3.5, -2.32),
            mae_before=17.1,
            mae_after=14.14,
        ),
        CycleShown(
            cycle="cycle_1",
            dataset="demo",
            verdict="promote",
            reason="shown better at level 0.0333",
            level=0.0333,
            champion_before="student-11aa0b5c7e90",
            champion_after=OLD,
            focus=["warmth", "nostalgia"],
            new_rows=100,
            difference=-0.97,
            ci=(-1.4, -0.54),
            mae_before=14.14,
            mae_after=13.3,
        ),
        CycleShown(
            cycle="cycle_2",
            dataset="demo",
            verdict="hold",
            reason="the sealed rows do not show a gain",
            level=0.0333,
            champion_before=OLD,
            champion_after=OLD,
            focus=["energy"],
            new_rows=60,
            mae_before=13.3,
            mae_after=13.42,
        ),
        CycleShown(
            cycle="cycle_3",
            dataset="demo",
            verdict="promote",
            reason="shown better at level 0.0333",
            level=0.0333,
            champion_before=OLD,
            champion_after=NEW,
            focus=["nostalgia", "acousticness"],
            new_rows=100,
            difference=-1.284,
            ci=(-1.71, -0.86),
            mae_before=13.3,
            mae_after=12.1,
        ),
        CycleShown(cycle="cycle_4", dataset="letters", verdict="stopped", reason="no dimension carries signal"),
    ]


def make_view(**changes: Any) -> ReportView:
    """A cycle that promoted, whole."""
    names = list(POLES)
    history = make_history()
    values: dict[str, Any] = {
        "title": "cycle_3 on demo",
        "task_title": "Music commission to six hidden parameters",
        "dimensions": [Dimension(name=name, low=low, high=high) for name, (low, high) in POLES.items()],
        "scale": Scale(),
        "rules": GateRules(min_gain=0.3, max_worse=1.5),
        "dataset": DatasetShown(
            name="demo", version="c41d7be09a52f318", train_rows=480, diagnose_rows=140, gate_rows=210, synthetic=True
        ),
        "this": history[3],
        "history": history,
        "generated_at": "2031-03-04T05:06:07.123Z",
        "backends": [
            BackendShown(part="brain", label="offline policy", embedded=True),
            BackendShown(part="tracking", label="SQLite in the artifacts folder", embedded=True),
            BackendShown(part="teacher", label="the demo world itself", embedded=True),
            BackendShown(part="model", label="text model on the CPU", embedded=True),
            BackendShown(part="jobs", label="processes on this machine", embedded=False),
        ],
        "arms": make_arms(names),
        "predictions": make_predictions(names),
        "failures": make_failures(names, REQUESTS),
        "failures_of": OLD,
        "gate": promoted_gate(),
        "begin_gate": make_gate(
            "promote", reason="the first model beats the constant", difference=-2.91, ci=(-3.5, -2.32)
        ).model_copy(update={"champion": "constant", "candidate": "student-11aa0b5c7e90"}),
        "diagnosis": DiagnosisShown(
            verdict="train",
            reason="five of six dimensions carry signal",
            dimensions=[
                SignalShown(
                    dimension=name,
                    signal="none" if name == "complexity" else "weak" if name == "warmth" else "learnable",
                    r2=0.02 if name == "complexity" else 0.4,
                    text_model_mae=13.2,
                    constant_mae=17.1,
                    ratio=1.0 if name == "complexity" else 0.77,
                    ceiling_mae=11.5,
                    verdict="stop" if name == "complexity" else "train",
                    words="a text model beats the constant",
                )
                for name in names
            ],
            copies={"exact": 4, "near_groups": 9, "near_rows": 21, "conflicting_texts": 2, "conflicting_rows": 5},
            leakage={"train_diagnose_exact": 0, "train_diagnose_near": 3, "train_gate_exact": 0, "train_gate_near": 0},
            outliers={"length": 1, "language": 0},
            label_shift={"energy": 0.04, "nostalgia": -0.21},
            warnings=["two texts stand with different targets"],
        ),
        "augmentation": AugmentationShown(
            teacher="the demo world",
            focus=["nostalgia", "acousticness"],
            added=100,
            replayed=15,
            dropped={"near_copy": 6, "off_scale": 4},
            rows_before=480,
            rows_after=580,
            version_after="99ac0e1f2b3d4c5a",
            why="where the error relative to the constant is largest among dimensions with signal",
            examples=[
                NewExample(text=text, target=dict.fromkeys(names, 40.0), source="teacher:demo-world")
                for text in REQUESTS
            ],
        ),
        "training": TrainingShown(
            job="train-90f3de6a517c",
            model=NEW,
            family="text model",
            train_rows=580,
            seconds=1.84,
            changes=[SettingChange(name="min_df", before="1", after="2", reason="rare words vote too loudly")],
        ),
        "remedies": [
            RemedyShown(
                trace=TRACE.format(k),
                dimension="nostalgia",
                change="twelve requests with words for lost places",
                text=REQUESTS[k],
                error_before=41.0 - k,
                error_after=22.5 + 9 * k,
            )
            for k in range(3)
        ],
        "lessons": [
            LessonShown(
                title="Aim where the text speaks",
                text="Words for lost places cut the error from 15.9 to 11.8 points.\n\nComplexity stays out of reach.",
                sources=["evaluation:eval-0c77d1f3a8e4"],
            )
        ],
        "next_cycle": [
            PlanShown(what="data", words="100 new rows aimed at warmth and energy"),
            PlanShown(what="gate", words="the third verdict of these rows may spend 2.9 %"),
        ],
        "context": ContextShown(
            server="wandb_local 0.1.0",
            kind="stand-in",
            calls={"query_wandb_tool": 3, "query_weave_traces_tool": 1},
            failures=20,
            fetched_at="2031-03-04T05:05:01.000Z",
        ),
        "ledger": [
            ToolCalls(tool="evaluate_model", server="eval", calls=4, seconds=0.71),
            ToolCalls(tool="get_job", server="retrain", calls=3, errors=1, seconds=2.2),
        ],
        "definitions": [
            DefinitionShown(
                metric="vector_mae",
                formula="mean over rows and dimensions of |prediction - target|",
                range="0 to the width of the scale, points",
                better="lower",
            ),
        ],
        "provenance": {"etude": "0.1.0", "task digest": "7a6b5c4d3e2f"},
    }
    return ReportView.model_validate(values | changes)


def stopped_view() -> ReportView:
    """A cycle that said the data cannot teach, and stopped: nothing but a diagnosis."""
    this = CycleShown(cycle="cycle_4", dataset="letters", verdict="stopped", reason="no dimension carries signal")
    nothing: dict[str, Any] = {
        "arms": [],
        "predictions": None,
        "failures": [],
        "gate": None,
        "begin_gate": None,
        "augmentation": None,
        "training": None,
        "remedies": [],
        "lessons": [],
        "next_cycle": [],
        "context": None,
        "ledger": [],
        "history": [],
        "backends": [],
        "definitions": [],
        "provenance": {},
        "failures_of": None,
    }
    return make_view(this=this, title="cycle_4 on letters", **nothing)


def parse(html: str) -> ElementTree.Element:
    """The page as a tree; the parser refuses anything that is not well-formed."""
    return ElementTree.fromstring(html)


def words_of(html: str) -> str:
    return " ".join("".join(parse(html).itertext()).split())


def section(html: str, key: str) -> str:
    found = next(element for element in parse(html).iter("section") if element.get("id") == key)
    return " ".join("".join(found.itertext()).split())
