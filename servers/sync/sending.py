"""Send the outbox of one place, run by run: traces first, then the run with its table and its artifacts.

A run's id and a trace's id are ours, so a try that was cut short is repeated under the same ids: W&B goes on with the
run where it stopped, takes no step of the history twice, and knows an artifact again by its content.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from servers.core.disk import canonical, digest
from servers.core.tracking import LocalTracker, Trace
from servers.core.tracking.addresses import app_url, trace_page
from servers.core.tracking.outbox import Notes, Outbox, Parcel, Place
from servers.core.workspace import Workspace
from servers.sync.lineage import Piece, lineage_of
from servers.sync.sdk import NotArrived, Sdk

BATCH = 200  # traces a request, at one to two kilobytes each
TABLE_ROWS = 80  # the worst ones, as many as the first project kept
SLOW_BYTES_A_SECOND = 1e6  # of a connection that is worth waiting for
EXIT_CODES = {"finished": 0, "failed": 1, "crashed": 255}  # 255 is the SDK's own for a run that somebody ended


@dataclass
class Sent:
    """What went to one place, and what was there already."""

    place: Place
    url: str
    runs: int = 0
    traces: int = 0
    tables: int = 0
    artifacts: int = 0
    runs_there_already: int = 0

    def document(self) -> dict[str, Any]:
        counts = {name: getattr(self, name) for name in ("runs", "traces", "tables", "artifacts", "runs_there_already")}
        return {"entity": self.place.entity, "project": self.place.project, "url": self.url, **counts}

    def in_words(self) -> str:
        what = [("runs", self.runs), ("traces", self.traces), ("tables", self.tables), ("artifacts", self.artifacts)]
        went = ", ".join(f"{count} {name}" for name, count in what if count) or "nothing new"
        return f"{self.place}: {went} sent, {self.runs_there_already} runs were there already; {self.url}"


@dataclass
class Sender:
    """Sends from one place of the tracker to one project of W&B."""

    workspace: Workspace
    tracker: LocalTracker
    notes: Notes
    here: tuple[str, str]
    there: Place
    environment: Mapping[str, str]
    sdk: Sdk
    _pieces: dict[str, Any] = field(default_factory=dict)
    """Artifacts that this process made or found, by their piece's id."""
    _ops: dict[str, str] = field(default_factory=dict)
    """References to ops at Weave, by name."""

    def send(self) -> Sent:
        """Send everything that is left; raises what the SDKs raise."""
        outbox = Outbox(self.tracker, self.notes, self.here, self.there)
        url = f"{app_url(self.environment)}/{self.there}"
        sent = Sent(self.there, url, runs_there_already=outbox.count())
        for parcel in list(outbox.parcels()):
            self._send_traces(parcel.traces, sent)
            self._send_run(parcel, sent)
        return sent

    def _send_traces(self, traces: Sequence[Trace], sent: Sent) -> None:
        fresh = [(trace, digest(trace)) for trace in traces]
        fresh = [pair for pair in fresh if not self.notes.has(self.there, "trace", pair[0].id, pair[1])]
        for start in range(0, len(fresh), BATCH):
            some = fresh[start : start + BATCH]
            client = self.sdk.weave(self.there.entity, self.there.project)
            calls = [self._call(client, trace) for trace, _ in some]
            # Straight to the server, not through ops: those are sent behind one's back, and dropped when that fails.
            client.server.calls_complete({"batch": calls})
            self.notes.add(self.there, "trace", {trace.id: sent_as for trace, sent_as in some})
            sent.traces += len(some)

    def _call(self, client: Any, trace: Trace) -> dict[str, Any]:
        return {
            "project_id": str(self.there),
            "id": trace.id,
            "trace_id": trace.trace_id,
            "parent_id": trace.parent_id,
            "op_name": self._op(client, trace.op_name),
            "display_name": trace.display_name,
            "started_at": trace.started_at,
            "ended_at": trace.ended_at,
            "inputs": trace.inputs,
            "output": trace.output,
            "attributes": trace.attributes,
            "exception": trace.exception,
            "summary": {},
            "thread_id": None,
            "turn_id": None,
            "wb_run_id": trace.run_id and f"{self.there}/{trace.run_id}",
        }

    def _op(self, client: Any, name: str) -> str:
        if name not in self._ops:
            import weave

            def traced() -> None:
                """Stands for what was traced; the work was done elsewhere."""

            self._ops[name] = str(weave.publish(weave.op(traced, name=name), name=name).uri)
            client.flush()
        return self._ops[name]

    def _send_run(self, parcel: Parcel, sent: Sent) -> None:
        run = parcel.run
        lineage = lineage_of(self.workspace, run)
        at_wandb = self.sdk.begin_run(
            # One that was whole and has changed was another attempt of the job: its steps are not this one's.
            anew=self.notes.knows(self.there, "run", run.id),
            entity=self.there.entity,
            project=self.there.project,
            id=run.id,
            name=run.name,
            group=run.group,
            job_type=run.job_type,
            tags=run.tags,
            config={**run.config, "started_at": run.created_at, "ended_at": run.updated_at},
        )
        try:
            for piece in lineage.used:
                sent.artifacts += self._use(at_wandb, piece)
            for piece in lineage.made:
                sent.artifacts += self._make(at_wandb, piece)
            sent.tables += self._log(at_wandb, parcel)
            at_wandb.summary.update(run.summary)
        except BaseException:
            at_wandb.finish(exit_code=1)  # not whole: nobody may take it for a finished one until it is
            raise
        at_wandb.finish(exit_code=EXIT_CODES[run.state])
        if (problem := self.sdk.problem_with(str(self.there), run.id)) is not None:
            raise NotArrived(f"run {run.id} did not reach {self.there} whole: {problem}")
        self.notes.add(self.there, "run", {run.id: parcel.digest})
        sent.runs += 1

    def _log(self, at_wandb: Any, parcel: Parcel) -> bool:
        """The history, and behind it the failures; whether they were sent. A step that is there stays as it is."""
        first = at_wandb.starting_step
        for row in parcel.history:
            if row["_step"] >= first:
                at_wandb.log({name: value for name, value in row.items() if name != "_step"}, step=row["_step"])
        behind = 1 + max((row["_step"] for row in parcel.history), default=-1)
        if not parcel.traces:
            return False
        if behind < first and self.sdk.has_table(str(self.there), parcel.run.id):
            return False  # from a try that was cut short behind it
        at_wandb.log({"eval/failures": self._table(parcel.traces)}, step=max(behind, first))
        return True

    def _use(self, at_wandb: Any, piece: Piece) -> bool:
        """Note at W&B that a run used it; whether it had to be sent for that."""
        if piece.id in self._pieces:
            at_wandb.use_artifact(self._pieces[piece.id])
            return False
        if self.notes.has(self.there, "artifact", piece.id, piece.digest):
            self._pieces[piece.id] = at_wandb.use_artifact(f"{self.there}/{piece.id}")
            return False
        draft = self._draft(piece)
        self._keep(piece, at_wandb.use_artifact(draft, aliases=[piece.alias]).wait(timeout=self._patience_s(piece)))
        return True

    def _make(self, at_wandb: Any, piece: Piece) -> bool:
        """Send it as what a run made; W&B knows the same content again."""
        draft = self._draft(piece)
        aliases = ["latest", piece.alias]
        self._keep(piece, at_wandb.log_artifact(draft, aliases=aliases).wait(timeout=self._patience_s(piece)))
        return True

    def _patience_s(self, piece: Piece) -> float:
        """How long an upload may take: a step's patience, and longer where there is much to carry."""
        return self.sdk.patience_s + sum(file.stat().st_size for file in piece.files.values()) / SLOW_BYTES_A_SECOND

    def _keep(self, piece: Piece, artifact: Any) -> None:
        self._pieces[piece.id] = artifact
        self.notes.add(self.there, "artifact", {piece.id: piece.digest})

    def _draft(self, piece: Piece) -> Any:
        import wandb

        draft = wandb.Artifact(piece.name, type=piece.kind, metadata=piece.metadata)
        for name, path in piece.files.items():
            draft.add_file(str(path), name=name, policy="immutable", skip_cache=True)
        return draft

    def _table(self, traces: Sequence[Trace]) -> Any:
        import wandb

        worst = sorted(traces, key=lambda trace: -trace.output["mae_raw"])[:TABLE_ROWS]
        dimensions = list(worst[0].output["abs_error_by_dim"])
        columns: list[str | int] = ["trace_id", "url", "text", "target", "prediction", "mae_raw"]
        columns += [f"error_{name}" for name in dimensions]
        return wandb.Table(columns=columns, data=[self._table_row(trace, dimensions) for trace in worst])

    def _table_row(self, trace: Trace, dimensions: Sequence[str]) -> list[Any]:
        output = trace.output
        text = next(value for name, value in trace.inputs.items() if name != "example_id")
        return [
            trace.id,
            trace_page(self.environment, self.there.entity, self.there.project, trace.id),
            text,
            canonical(output["target"]),
            canonical(output["prediction"]),
            float(output["mae_raw"]),
            *(float(output["abs_error_by_dim"][name]) for name in dimensions),
        ]
