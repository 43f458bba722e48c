"""Reading an evaluation back through W&B MCP: what is asked, in which order, and when it is enough.

Enough is: the champion's run with its error, a count of its root traces that is the number of its rows, and its worst
rows whole. W&B takes in what was written some time after it was written, so what is not there yet is waited for,
within bounds. Rows are asked for worst first; where that cannot be relied on, all of them are listed and then read by
id, a few at a time. What a reply says of further pages is not believed: only what came counts. Only the replies that
are needed are handed on, word for word.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from agent.desk import GOES_ON, Answer, Desk, StepFailed
from agent.wandb_names import COUNTS, RUNS, TRACES
from agent.wandb_reads import (
    Arguments,
    Place,
    Question,
    Schema,
    count,
    eval_runs,
    one_run,
    traces,
    train_runs,
    viewer,
)
from agent.wandb_words import Trouble, document_in, is_cut, mapping, number, rows_in, runs_in

WORST_TRACES = 20
MAX_OUTLINES = 250  # ids and times of so many fit into what the official server says at once
MAX_AT_ONCE = 40  # rows that may be asked for in one go, should they fit
MAX_TRACE_CALLS = 120
ERROR = "eval/vector_mae"
ROWS = "eval/n"
NEEDED_IN_OUTPUT = ("mae_raw", "target", "abs_error_by_dim")

Call = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """A trace, as far as it is needed to know that it came whole."""

    id: str
    started_at: str
    error: float | None
    """Points; None where the row came without."""
    is_whole: bool
    is_other: bool
    """Whether it says that it belongs to another evaluation."""

    @classmethod
    def of(cls, trace: dict[str, Any], evaluation: str) -> "Row":
        output = mapping(trace.get("output"))
        claimed = str(mapping(trace.get("attributes")).get("evaluation_id") or "").lower()
        error = number(output.get("mae_raw"))
        whole = (
            error is not None and claimed == evaluation.lower() and all(output.get(key) for key in NEEDED_IN_OUTPUT[1:])
        )
        name = trace.get("id") or trace.get("trace_id")
        is_other = claimed not in ("", evaluation.lower())
        return cls(str(name or ""), str(trace.get("started_at") or ""), error, whole and bool(name), is_other)


class _Missing(Exception):
    """Rows are not there, perhaps not yet; what is known of them."""


class ReadingBack:
    """One reading of a cycle's evaluation.

    Args:
        desk: Where calls are made.
        place: Where runs and traces are, and whose.
        cycle: Its runs are asked for by group.
        dimensions: Of the task, for the figures that the structured form has to name.
        given: Replies that somebody asked for already, as record_context takes them; what they hold is not asked again.
    """

    def __init__(
        self, desk: Desk, place: Place, cycle: str, dimensions: Sequence[str], given: Sequence[Call] = ()
    ) -> None:
        self._desk, self._place, self._cycle, self._dimensions = desk, place, cycle, dimensions
        self._schemas = {tool: Schema(desk.sessions.input_schema(tool)) for tool in (RUNS, COUNTS, TRACES)}
        self._given = list(given)
        self._waited_s = 0.0
        self._trace_calls = 0

    async def calls(self) -> list[Call]:
        """Everything that record_context needs.

        Raises:
            StepFailed: W&B MCP did not give it; one line that says what and what to do.
            ServerProblem: the server is gone.
        """
        runs, champion = await self._runs()
        rows = number(mapping(champion.get("summaryMetrics") or champion.get("summary")).get(ROWS))
        n = int(rows) if rows is not None and rows >= 1 else None
        counted, n = await self._count(n)
        return [*runs, *counted, *await self._worst(n)]

    async def _runs(self) -> tuple[list[Call], dict[str, Any]]:
        """The replies about runs, and the champion's among them."""
        schema = self._schemas[RUNS]
        made = [call for call in self._given if call["tool"] == RUNS]
        if not made:
            if (who := viewer(schema)) is not None:
                answer = await self._tried(who)
                if isinstance(answer, Answer):
                    made.append(answer.call)
                elif answer.kind == "denied":
                    raise self._failure(RUNS, answer.words)
            for question in (*eval_runs(self._place, self._cycle, self._dimensions, schema), self._trainings()):
                made.append((await self._answered(question)).call)
        while (champion := self._champion_in(made)) is None:
            answer = await self._tried(one_run(self._place, schema))
            if isinstance(answer, Answer) and self._champion_in([answer.call]) is not None:
                made.append(answer.call)
            elif isinstance(answer, Trouble) and answer.kind in ("denied", "refused", "too much"):
                raise self._failure(RUNS, answer.words)
            else:
                await self._wait(RUNS, f"W&B shows no run {self._place.evaluation} with its figures ({ERROR})")
        return made, champion

    def _trainings(self) -> Question:
        return train_runs(self._place, self._schemas[RUNS])

    def _champion_in(self, calls: Iterable[Call]) -> dict[str, Any] | None:
        for call in calls:
            for run in runs_in(document_in(call["text"]) or {}):
                named = {str(run.get(key)).lower() for key in ("name", "id")}
                figures = mapping(run.get("summaryMetrics") or run.get("summary"))
                if self._place.evaluation.lower() in named and number(figures.get(ERROR)) is not None:
                    return run
        return None

    async def _count(self, n: int | None) -> tuple[list[Call], int]:
        """The reply that counts as many roots as there are rows, and the number."""
        for call in self._given:
            # Asked with other filters it is another number; record_context knows which.
            if call["tool"] == COUNTS and (roots := _roots(document_in(call["text"]))) and n in (None, roots):
                return [call], roots
        while True:
            answer = await self._answered(count(self._place))
            roots = _roots(answer.document)
            if roots is None:
                raise self._failure(COUNTS, "its reply has no total_count and root_traces_count")
            if roots == n or (n is None and roots):
                return [answer.call], roots
            if n is not None and roots > n:
                raise self._failure(
                    COUNTS,
                    f"W&B counts {roots} root traces of {self._place.evaluation}, which has {n} rows; its filter on "
                    "attributes is not understood, or rows were written twice",
                )
            await self._wait(COUNTS, f"W&B counts {roots} root traces of the {n or 'rows'} of {self._place.evaluation}")

    async def _worst(self, n: int) -> list[Call]:
        """The replies that hold the worst rows whole."""
        wanted = min(WORST_TRACES, n)
        given = [call for call in self._given if call["tool"] == TRACES]
        if given and self._is_worst_first([row for call in given for row in self._rows(call["text"])], wanted):
            return given
        while True:
            try:
                return (
                    await self._worst_first(wanted) or await self._all_at_once(n) or await self._one_by_one(n, wanted)
                )
            except _Missing as missing:
                await self._wait(TRACES, str(missing))

    async def _worst_first(self, wanted: int) -> list[Call]:
        """Nothing where the server does not sort by error, or leaves something out."""
        answer = await self._asked(traces(self._place, WORST_TRACES, "full", "output.mae_raw"))
        if isinstance(answer, Trouble):
            if answer.kind == "denied":
                raise self._failure(TRACES, answer.words)
            return []
        is_enough = self._is_worst_first(self._rows(answer.call["text"]), wanted) and not is_cut(answer.document)
        return [answer.call] if is_enough else []

    async def _all_at_once(self, n: int) -> list[Call]:
        """Nothing where the rows do not fit into one reply."""
        if n > MAX_AT_ONCE:
            return []
        answer = await self._asked(traces(self._place, n, "full", "started_at"))
        if isinstance(answer, Trouble) or is_cut(answer.document):
            return []
        whole = {row.id for row in self._rows(answer.call["text"]) if row.is_whole}
        return [answer.call] if len(whole) == n else []

    def _is_worst_first(self, rows: Sequence[Row], wanted: int) -> bool:
        rows = [row for row in rows if not row.is_other]
        errors = [row.error for row in rows if row.is_whole and row.error is not None]
        return len(errors) == len(rows) and len({row.id for row in rows}) >= wanted and errors == sorted(errors)[::-1]

    async def _one_by_one(self, n: int, wanted: int) -> list[Call]:
        """List the rows, read them by their ids, and keep the replies with the worst.

        The worst alone, where the list came worst first, as their errors show; else all of them.
        """
        answer = await self._asked(traces(self._place, wanted, "schema", "output.mae_raw"))
        if isinstance(answer, Answer) and not is_cut(answer.document):
            ids = [row.id for row in self._rows(answer.call["text"]) if row.id]
            if len(set(ids)) == wanted:
                found = await self._read_by_id(ids)
                errors = [found[name][0] for name in ids if name in found]
                if len(errors) == wanted and errors == sorted(errors, reverse=True):
                    return _calls_of(found.values())
        found = await self._read_by_id(await self._listed(n))
        if len(found) < n:
            raise _Missing(f"W&B gives {len(found)} of the {n} traces of {self._place.evaluation}")
        return _calls_of(sorted(found.values(), key=lambda pair: -pair[0])[:wanted])

    async def _read_by_id(self, ids: Sequence[str]) -> dict[str, tuple[float, Call]]:
        """By id, a row's error and the reply that it came in; those of another evaluation are left out."""
        found: dict[str, tuple[float, Call]] = {}
        waiting, batch = list(ids), WORST_TRACES
        while waiting:
            asked = waiting[:batch]
            answer = await self._by_ids(asked, "full" if batch > 1 else "summary")
            rows = self._rows(answer.call["text"]) if isinstance(answer, Answer) else []
            if isinstance(answer, Answer) and {row.id for row in rows if row.is_whole or row.is_other} == set(asked):
                found |= {row.id: (row.error or 0.0, answer.call) for row in rows if row.is_whole}
                waiting = waiting[len(asked) :]
                continue
            if isinstance(answer, Trouble) and answer.kind not in ("too much", "passing"):
                raise self._failure(TRACES, answer.words)
            if batch == 1 and not rows and isinstance(answer, Answer):
                raise _Missing(f"W&B lists trace {asked[0]}, and does not give it")
            if batch == 1:
                said = answer.words if isinstance(answer, Trouble) else "its error, target or evaluation is missing"
                raise self._failure(TRACES, f"trace {asked[0]} cannot be read whole: {said}")
            most = answer.at_most if isinstance(answer, Trouble) and answer.at_most else batch
            batch = min(max(batch // 2, 1), most)
        return found

    async def _listed(self, n: int) -> list[str]:
        """The ids of all rows.

        Newest first and oldest first bring twice what one reply holds; from there on it goes by the time at which a row
        was started, which the server knows by the second.
        """
        ids: dict[str, str] = {}
        limit = min(n, MAX_OUTLINES)
        steps: list[tuple[str, Arguments]] = [("desc", {}), ("asc", {})]
        while steps and len(ids) < n:
            direction, filters = steps.pop(0)
            answer = await self._asked(traces(self._place, limit, "schema", "started_at", direction, **filters))
            if isinstance(answer, Trouble):
                smaller = answer.at_most if answer.at_most and answer.at_most < limit else limit // 2
                if answer.kind != "too much" or smaller < 1:
                    raise self._failure(TRACES, answer.words)
                limit = smaller
                steps.insert(0, (direction, filters))
                continue
            rows, before = self._rows(answer.call["text"]), len(ids)
            if is_cut(answer.document) and limit > 1 and len(rows) < limit:
                limit //= 2  # it shows every n-th
                steps.insert(0, (direction, filters))
                continue
            ids |= {row.id: row.started_at for row in rows if row.id}
            if direction == "asc" and len(ids) > before and (last := max((r.started_at for r in rows), default="")):
                steps.append(("asc", {"time_range": {"start": last}}))
        if len(ids) < n:
            raise _Missing(f"W&B shows {len(ids)} of the {n} traces of {self._place.evaluation}")
        return list(ids)

    async def _by_ids(self, ids: list[str], detail: str) -> Answer | Trouble:
        filters: Arguments = {"call_ids": ids}
        answer = await self._asked(traces(self._place, len(ids), detail, "started_at", **filters))
        # A filter that is not known is passed over, and matches everything.
        if isinstance(answer, Answer) and {row.id for row in self._rows(answer.call["text"])} - set(ids):
            raise self._failure(TRACES, "it neither sorts by error nor gives single traces, so the worst stay unknown")
        return answer

    def _rows(self, text: str) -> list[Row]:
        return [Row.of(trace, self._place.evaluation) for trace in rows_in(document_in(text) or {})]

    async def _asked(self, question: Question) -> Answer | Trouble:
        self._trace_calls += 1
        if self._trace_calls > MAX_TRACE_CALLS:
            raise self._failure(TRACES, f"the worst rows are not found within {MAX_TRACE_CALLS} calls")
        return await self._tried(question)

    async def _answered(self, question: Question) -> Answer:
        """The answer, waited for where W&B has nothing yet."""
        while True:
            answer = await self._tried(question)
            if isinstance(answer, Answer):
                return answer
            if answer.kind != "absent" or not self._patience_left:
                raise self._failure(question.tool, answer.words)
            await self._wait(question.tool, answer.words)

    async def _tried(self, question: Question) -> Answer | Trouble:
        """The first way that is answered, or why the first of them was not."""
        trouble: Trouble | None = None
        schema = self._schemas[question.tool]
        for arguments in question.ways:
            if not schema.accepts("sort_by", arguments.get("sort_by", "started_at")):
                trouble = trouble or Trouble("refused", f"it does not sort by {arguments['sort_by']}")
                continue
            answer = await self._desk.read(question.tool, schema.fitted(arguments))
            if isinstance(answer, Answer):
                return answer
            trouble = trouble or answer
        return trouble or Trouble("refused", "it takes no form of this question")

    @property
    def _patience_left(self) -> bool:
        return self._waited_s < self._desk.patience.lag_s

    async def _wait(self, tool: str, what: str) -> None:
        """Wait for W&B to take in what was written.

        Raises:
            StepFailed: it has been waited for long enough.
        """
        patience = self._desk.patience
        if not self._patience_left:
            raise self._failure(
                tool,
                f"{what} after {self._waited_s:.0f} s of waiting; if it was not reached while this was measured, "
                "etude sync writes what is missing",
            )
        step_s = min(max(patience.step_s, self._waited_s), patience.lag_s - self._waited_s, patience.most_s)
        self._desk.saying(f"{what}; waiting {step_s:.0f} s")
        self._waited_s += step_s
        await patience.sleep(step_s)

    def _failure(self, tool: str, words: str) -> StepFailed:
        said = words.removeprefix(f"Error executing tool {tool}: ")
        return self._desk.failure(tool, f"W&B MCP: {said}; {GOES_ON}")


def _calls_of(found: Iterable[tuple[float, Call]]) -> list[Call]:
    """The replies, each once."""
    calls: list[Call] = []
    for _, call in found:
        if call not in calls:
            calls.append(call)
    return calls


def _roots(document: dict[str, Any] | None) -> int | None:
    roots = number((document or {}).get("root_traces_count"))
    total = number((document or {}).get("total_count"))
    return None if roots is None or total is None else int(roots)
