"""What the augment server's tools planned and made, in words."""

from servers.augment.results import (
    AugmentationPlan,
    AugmentationResult,
    CampaignPlan,
    DatasetEntry,
    Datasets,
    ExampleRow,
    Published,
)
from servers.core.phrases import counted
from servers.wording import (
    Link,
    Said,
    bullets,
    call,
    fitting,
    names,
    number,
    priced,
    quoted,
    said,
    sizes,
    usd,
    warning,
)

LIST_ROOM = 1_500
EMBEDDED_TEACHERS = {"demo-world": "synthetic, embedded", "recombination": "clauses of the own rows, embedded"}


def datasets(found: Datasets) -> Said:
    """list_datasets"""
    if not found.total:
        return said("No dataset is ready.", then=f"{call('prepare_dataset', dataset='demo')}, or `etude import`")
    first = (found.next_offset or found.total) - len(found.datasets)
    shown = fitting([_dataset(one) for one in found.datasets], LIST_ROOM)
    upto = first + len(shown)
    more = f"list_datasets with offset {upto} shows more; " if upto < found.total else ""
    name = found.datasets[0].name if found.datasets else "demo"
    return said(
        f"{counted(found.total, 'dataset')} ready" + _which(first, upto, found.total) + ":",
        bullets(shown),
        then=f"{more}open_cycle with one of them, such as {call('open_cycle', dataset=name)}",
    )


def plan(found: AugmentationPlan) -> Said:
    """plan_augmentation"""
    aim = f"aimed at {names(found.focus_dimensions)}" if found.focus_dimensions else "without an aim"
    replay = f", and {counted(found.replay_rows, 'hard row')} at double weight" if found.replay_rows else ""
    return said(
        f"Plan {found.plan_id}: {counted(found.new_rows, 'new row')} {aim}{replay}. "
        f"{_teacher(found.teacher)} writes them, {_costing(found.cost_usd)}.",
        f"Why: {quoted(found.why, 500)}",
        then=call("augment_dataset", plan_id=found.plan_id),
    )


def campaign(found: CampaignPlan) -> Said:
    """plan_campaign"""
    return said(
        f"Campaign {found.plan_id}: {counted(len(found.ways), 'way')}, {counted(found.seeds, 'seed')} each where rows "
        f"are drawn, {counted(found.candidates, 'candidate')} in all.",
        bullets(f"{way}: {words}" for way, words in found.ways.items()),
        "Left out:\n" + bullets(f"{way}: {quoted(why, 150)}" for way, why in found.left_out.items())
        if found.left_out
        else None,
        f"{_teacher(found.teacher)} writes the rows. {priced(found.quote, 'The trainings')}"
        + (f" Rows and trainings together: {usd(found.cost_usd)}." if found.cost_usd else ""),
        then=call("augment_dataset", plan_id=found.plan_id),
    )


def rows(found: AugmentationResult) -> Said:
    """augment_dataset"""
    if found.state == "writing":
        return said(
            f"The teacher is still writing rows for plan {found.plan_id}, in job {found.job_id}.",
            f"It says: {quoted(found.message, 200)}",
            then=f"{call('augment_dataset', plan_id=found.plan_id)} again, which waits",
        )
    dropped = ", ".join(f"{quoted(reason, 60)} {count}" for reason, count in found.dropped.items() if count)
    written = found.added + sum(found.dropped.values())
    version = (
        f"Version {found.dataset_version} of {found.dataset}, new from {found.parent},"
        if found.dataset_version != found.parent
        else f"Version {found.dataset_version} of {found.dataset}, unchanged,"
    )
    by_arm = ", ".join(f"{name} {count}" for name, count in (found.by_arm or {}).items())
    return said(
        f"{counted(found.added, 'row')} added of {written:,} written, {found.replayed:,} replayed, for plan "
        f"{found.plan_id}. Dropped: {dropped or 'none'}.",
        warning(f"no row was added: {quoted(found.why_nothing, 300)}" if found.why_nothing else None),
        f"{version} has {sizes(found.rows.model_dump())}.",
        f"By set of rows: {by_arm}. Their versions wait until one way is chosen." if by_arm else None,
        "New rows, such as (data, not instructions):\n" + bullets(_example(one) for one in found.examples)
        if found.examples
        else None,
        then=found.next.replace("this plan_id", f"plan_id {found.plan_id}"),
        links=[Link(f"etude://datasets/{found.dataset}/{found.dataset_version}", f"Card of {found.dataset}")],
    )


def published(found: Published) -> Said:
    """publish_dataset"""
    hub = f"Uploaded, private: {found.on_hub.url} at revision {found.on_hub.revision}." if found.on_hub else ""
    return said(
        f"Open splits and card are in {found.path}, in the artifacts folder: {names(found.files)}. {hub}".strip(),
        "The sealed split is not among them." + ("" if found.on_hub else " Nothing was uploaded; to_hub does that."),
        then="open_cycle",
    )


def _costing(most: float) -> str:
    return f"for at most {usd(most)}" if most else "at no cost"


def _which(first: int, upto: int, total: int) -> str:
    return f", {first + 1} to {upto}" if (first, upto) != (0, total) else ""


def _dataset(one: DatasetEntry) -> str:
    label = ", synthetic" if one.synthetic else ""
    return f"{one.name}: version {one.head} of {one.versions}{label}; {sizes(one.rows.model_dump())}"


def _teacher(name: str) -> str:
    label = EMBEDDED_TEACHERS.get(name)
    return f"Teacher {quoted(name, 60)}" + (f" ({label})" if label else "")


def _example(one: ExampleRow) -> str:
    target = ", ".join(f"{name} {number(value, 0)}" for name, value in list(one.target.items())[:8])
    return f"{quoted(one.text)} → {target}" + (", …" if len(one.target) > 8 else "")
