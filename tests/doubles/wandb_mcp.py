"""A double of the official W&B MCP server: its tools, over a `WandbStore`, with its shapes and its ways of going wrong.

Built from what 0.3.3 answered in front of a backend, and from the sources of 0.4. `form` says which question
`query_wandb_tool` takes: GraphQL as in 0.3.3, the structured one of 0.4.0, or both. Everything that may be switched is
a field of `Ways`; one reply that goes wrong is asked for with `go_wrong`.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.doubles.wandb_queries import (
    OUTLINE,
    call_as_told,
    calls_of,
    literal,
    run_in_graphql,
    run_in_structure,
    runs_of,
    sorted_calls,
)
from tests.doubles.wandb_store import Project, WandbStore

RUNS, COUNTS, TRACES = "query_wandb_tool", "count_weave_traces_tool", "query_weave_traces_tool"
REPORT = "create_wandb_report_tool"
PAGES = "https://wandb.example"
Form = Literal["graphql", "structured", "both"]
Wrong = Literal[
    "error", "errors", "is_error", "null project", "busy", "not json", "half", "empty", "slow", "hang up", "lost",
    "401", "403", "429", "500",
]  # fmt: skip
Spelling = Literal["plain", "words around", "json in json", "python", "only structured", "no structured", "two blocks"]


@dataclass
class Ways:
    """How the server is, all the time."""

    form: Form = "graphql"
    spelling: Spelling = "plain"
    sorts: bool = True
    """Whether it sorts by a path into the output; else by the time, whatever was asked."""
    refuses_sorting: bool = False
    knows_ids: bool = True
    """Whether it knows the filter call_ids; one that is not known matches everything."""
    budget_tokens: int = 30_000
    full_limit: int | None = None
    """The most full traces that it gives."""
    clamps: bool = False
    """Whether more than `full_limit` are cut to it without a word, and not refused."""
    shown_after: dict[str, int] = field(default_factory=dict)
    """By tool, how many calls of it go by before what was written is all there."""
    says_more: bool | None = None
    """What it says of a next page, whether there is one or not."""
    lacks: tuple[str, ...] = ()
    tools_per_page: int = 50
    mute: bool = False
    """Whether it never answers its handshake."""
    digits: int | None = None
    """To how many decimals it rounds."""
    empties: bool = False
    """Whether what is null is left out."""


@dataclass
class _Fault:
    name: Wrong
    tool: str
    times: int
    value: Any


class OfficialServer:
    """The server's answers, whatever carries them.

    Args:
        store: What is read.
        ways: How it is.
    """

    def __init__(self, store: WandbStore, ways: Ways | None = None) -> None:
        self.store, self.ways = store, ways or Ways()
        self.calls: list[tuple[str, dict[str, Any]]] = []
        """What was asked, in order."""
        self._faults: list[_Fault] = []

    def go_wrong(self, name: Wrong, on: str = "", times: int = 1, value: Any = None) -> None:
        """Let the next `times` calls of a tool whose name contains `on` go wrong."""
        self._faults.append(_Fault(name, on, times, value))

    def asked(self, tool: str) -> list[dict[str, Any]]:
        """The arguments of every call of a tool."""
        return [arguments for called, arguments in self.calls if called == tool]

    def tools(self) -> list[dict[str, Any]]:
        """What tools/list says."""
        text, whole, thing = {"type": "string"}, {"type": "integer"}, {"anyOf": [{"type": "object"}, {"type": "null"}]}
        where = {"entity_name": text, "project_name": text, "filters": thing}
        listing = {"sort_by": text, "sort_direction": text, "limit": whole, "detail_level": text}
        listing |= {"columns": {"type": "array"}, "include_costs": {"type": "boolean"}, "truncate_length": whole}
        wanted = {
            RUNS: (_query_schema(self.ways.form), "Ask W&B. " + "Long words about GraphQL. " * 850),
            COUNTS: ({"properties": where}, "Count traces."),
            TRACES: ({"properties": where | listing}, "Query traces. " + "Long words about traces. " * 620),
            REPORT: (_report_schema(), "Create a new report. Only call this tool if the user asks. " * 20),
            "get_job": ({"properties": {"job_id": text}}, "A tool that is called like one of ours."),
        }
        answers = {name: "object" if name == RUNS else "string" for name in wanted}
        return [
            {
                "name": name,
                "description": about,
                "inputSchema": {"type": "object"} | schema,
                "outputSchema": {
                    "type": "object",
                    "properties": {"result": {"type": answers[name]}},
                    "required": ["result"],
                },
            }
            for name, (schema, about) in wanted.items()
            if name not in self.ways.lacks
        ]

    def fault_for(self, tool: str) -> _Fault | None:
        """What goes wrong with this call; it is used up."""
        for fault in self._faults:
            if fault.times > 0 and fault.tool in tool:
                fault.times -= 1
                return fault
        return None

    def answer(self, tool: str, arguments: dict[str, Any], fault: _Fault | None) -> dict[str, Any]:
        """The result of tools/call."""
        self.calls.append((tool, arguments))
        if fault is not None and (wrong := _wrong(fault)) is not None:
            return wrong
        known = {RUNS: self._runs, COUNTS: self._count, TRACES: self._traces}
        if tool not in (*known, REPORT) or tool in self.ways.lacks:
            return _said(f"Unknown tool: {tool}", is_error=True)
        if tool == REPORT:
            return self._report(arguments)
        document = known[tool](arguments)
        if self.ways.digits is not None:
            document = _rounded(document, self.ways.digits)
        if self.ways.empties:
            document = _without_nulls(document)
        result = _spelt(document, self.ways.spelling, pretty=tool == RUNS)
        if fault is not None and fault.name == "half":
            result["content"][0]["text"] = result["content"][0]["text"][: len(result["content"][0]["text"]) // 2]
            del result["structuredContent"]
        return result

    def _report(self, asked: dict[str, Any]) -> dict[str, Any]:
        """A sentence with the address; panels of a type that it does not know are left out without a word."""
        if unknown := sorted(asked.keys() - _report_schema()["properties"].keys()):
            return _said(f"Error executing tool {REPORT}: unexpected arguments {unknown}", is_error=True)
        project = self.store.found(asked["entity_name"], asked["project_name"])
        if project is None:
            return _said(f"Error executing tool {REPORT}: Error creating report: project not found", is_error=True)
        made = project.add_report(**asked)
        return _said(f"The report was saved here: {_page_of(project, made)}")

    def _runs(self, asked: dict[str, Any]) -> dict[str, Any]:
        takes_query, takes_resource = self.ways.form != "structured", self.ways.form != "graphql"
        if "query" in asked and takes_query and "resource" not in asked:
            return self._graphql(asked["query"], asked.get("variables") or {}, asked.get("max_items", 100))
        if "resource" in asked and takes_resource and "query" not in asked:
            return self._structured(asked)
        return {"error": "invalid_arguments", "message": "Choose one interface: query/variables or structured fields."}

    def _graphql(self, query: str, variables: dict[str, Any], max_items: int) -> dict[str, Any]:
        if "mutation" in query:
            return {"error": "read_only_violation", "message": "only queries"}
        if "viewer" in query:
            return {"viewer": {"username": self.store.username, "entity": self.store.entity}}
        entity = variables.get("entity") or literal(query, "entityName") or ""
        project = self.store.found(entity, variables.get("project") or literal(query, "name") or "")
        if project is None:
            return {"project": None}
        if "allViews" in query:
            nodes = [{key: report[key] for key in ("id", "displayName")} for report in project.reports]
            edges = [{"node": node} for node in nodes[:max_items]]
            return {"project": {"allViews": {"edges": edges, "pageInfo": {"hasNextPage": False, "endCursor": None}}}}
        shown = self._shown(project, RUNS)
        if "run(" in query:
            run = shown.runs.get(variables["run"])
            return {"project": {"run": None if run is None else run_in_graphql(run)}}
        found = runs_of(shown, json.loads(variables.get("filters") or "{}"))
        page = found[: min(20, max_items)]
        more = len(found) > len(page) if self.ways.says_more is None else self.ways.says_more
        edges = [{"node": run_in_graphql(run)} for run in page]
        return {"project": {"runs": {"edges": edges, "pageInfo": {"hasNextPage": more, "endCursor": "Y3Vyc29yOjE="}}}}

    def _structured(self, asked: dict[str, Any]) -> dict[str, Any]:
        place = f"{asked['entity_name']}/{asked['project_name']}"
        project = self.store.found(asked["entity_name"], asked["project_name"])
        if project is None:
            return {"error": "project_not_found", "message": f"Project {place} not found"}
        shown = self._shown(project, RUNS)
        head = {"source": "wandb_sdk", "resource": asked["resource"], "entity": project.entity, "project": project.name}
        if asked["resource"] == "reports":
            items = [
                {"id": report["id"], "display_name": report["displayName"], "url": _page_of(project, report)}
                for report in project.reports[: asked.get("limit", 50)]
            ]
            return head | {"items": items, "returned_count": len(items), "has_more": False, "truncated": False}
        if asked["resource"] == "run":
            run = shown.runs.get(asked["run_id"])
            if run is None:
                return {"error": "run_not_found", "message": f"Run {place}/{asked['run_id']} not found"}
            return head | {"item": run_in_structure(run, list(run["summaryMetrics"]), place)}
        if len(asked.get("summary_keys") or ()) > 20:
            return {"error": "quota_exceeded", "message": "summary_keys is limited to 20 keys", "max_limit": 20}
        found = runs_of(shown, asked.get("filters") or {})
        items = [run_in_structure(run, asked.get("summary_keys"), place) for run in found[: asked.get("limit", 50)]]
        more = len(found) > len(items) if self.ways.says_more is None else self.ways.says_more
        return head | {"items": items, "returned_count": len(items), "has_more": more, "truncated": False}

    def _count(self, asked: dict[str, Any]) -> dict[str, Any]:
        project = self.store.found(asked["entity_name"], asked["project_name"])
        if project is None:
            return {"error": "Error counting traces: 403 Client Error: Project not found"}
        found = calls_of(self._shown(project, COUNTS), asked.get("filters") or {})
        return {"total_count": len(found), "root_traces_count": sum(call["parent_id"] is None for call in found)}

    def _traces(self, asked: dict[str, Any]) -> dict[str, Any]:
        project = self.store.found(asked["entity_name"], asked["project_name"])
        if project is None:
            return {"error": "query_failed", "message": "Project not found"}
        sort_by, limit, ways = asked.get("sort_by", "started_at"), asked.get("limit", 1000), self.ways
        detail, clamped = asked.get("detail_level", "summary"), False
        if "." in sort_by and ways.refuses_sorting:
            return {"error": "api_error", "message": f"cannot sort by {sort_by}"}
        if ways.full_limit is not None and detail == "full" and limit > ways.full_limit:
            if not ways.clamps:
                words = f"Hosted MCP trace queries are limited to {ways.full_limit} traces for detail_level='full'."
                return {"error": "quota_exceeded", "message": words, "limit": limit, "max_limit": ways.full_limit}
            limit, clamped = ways.full_limit, True
        found = calls_of(self._shown(project, TRACES), asked.get("filters") or {}, ways.knows_ids)
        if limit > 100 and detail != "schema" and len(found) > 500:
            return {"error": "query_too_large", "trace_count": len(found), "suggestions": ["ask for less"]}
        ordered = sorted_calls(found, sort_by if ways.sorts or "." not in sort_by else "id", asked["sort_direction"])
        traces = [call_as_told(call, asked.get("columns")) for call in ordered[:limit]]
        if detail == "schema":
            traces = [{key: trace[key] for key in OUTLINE} for trace in traces]
        elif detail == "summary":
            traces = _cut(traces, asked.get("truncate_length", 1000))
        metadata = {"total_traces": len(traces), "total_matching_count": len(found), "truncation_applied": False}
        metadata |= {"truncation_dropped_count": 0, "truncation_note": None}
        document = {"metadata": metadata, "traces": traces} | ({"limit_clamped": True} if clamped else {})
        return _within(document, ways.budget_tokens)

    def _shown(self, project: Project, tool: str) -> Project:
        """The project as far as W&B has taken it in."""
        if len(self.asked(tool)) > self.ways.shown_after.get(tool, 0):
            return project
        half = dict(list(project.calls.items())[: len(project.calls) // 2])
        return Project(project.entity, project.name, runs={}, calls=half)


def _report_schema() -> dict[str, Any]:
    text, maybe = {"type": "string"}, {"anyOf": [{"type": "string"}, {"type": "null"}]}
    panels = {"anyOf": [{"type": "array", "items": {"type": "object"}}, {"type": "null"}]}
    named = {"entity_name": text, "project_name": text, "title": text}
    other = {"description": maybe, "markdown_report_text": text, "plots_html": maybe, "panels": panels}
    return {"properties": named | other, "required": list(named)}


def _page_of(project: Project, report: dict[str, Any]) -> str:
    slug = re.sub(r"-+", "-", re.sub(r"\W", "-", report["displayName"])).strip("-")
    return f"{PAGES}/{project.entity}/{project.name}/reports/{slug}--{report['id']}"


def _query_schema(form: Form) -> dict[str, Any]:
    text, whole = {"type": "string"}, {"type": "integer"}
    old = {"query": text, "variables": {"anyOf": [{"type": "object"}, {"type": "null"}]}}
    old |= {"max_items": whole, "items_per_page": whole}
    new = {
        "entity_name": text,
        "project_name": text,
        "resource": {"enum": ["project", "run", "runs", "reports"]},
        "run_id": text,
    }
    new |= {"filters": {"type": "object"}, "order": text, "limit": whole, "summary_keys": {"type": "array"}}
    if form == "graphql":
        return {"properties": old, "required": ["query"]}
    if form == "structured":
        return {"properties": new, "required": ["entity_name", "project_name", "resource"]}
    # The properties stand in the branches alone, where one may put them as well.
    return {"oneOf": [{"required": ["query"], "properties": old}, {"required": ["resource"], "properties": new}]}


def _wrong(fault: _Fault) -> dict[str, Any] | None:
    documents = {
        "error": {"error": "api_error", "message": fault.value or "the service said no"},
        "errors": {"errors": [{"message": fault.value or "400 Client Error: Bad Request for url"}]},
        "null project": {"project": None},
        "busy": {"error": "server_busy", "retryable": True, "retry_after_ms": fault.value or 1000},
    }
    if fault.name in documents:
        return _said(json.dumps(documents[fault.name]))
    if fault.name == "is_error":
        return _said(fault.value or "Error executing tool X: 1 validation error", is_error=True)
    if fault.name == "not json":
        return _said(fault.value or "<html><body>502 Bad Gateway</body></html>")
    return {"content": [], "isError": False} if fault.name == "empty" else None


def _said(text: str, is_error: bool = False) -> dict[str, Any]:
    structured = {} if is_error else {"structuredContent": {"result": text}}
    return {"content": [{"type": "text", "text": text}], "isError": is_error} | structured


def _spelt(document: dict[str, Any], spelling: Spelling, pretty: bool) -> dict[str, Any]:
    text = json.dumps(document, indent=2) if pretty else json.dumps(document, separators=(",", ":"))
    structured = {"result": document if pretty else text}
    texts = {
        "words around": [f"Here are 3 results [cached]:\n{text}\nThat is all."],
        "json in json": [json.dumps(json.dumps({"result": text}))],
        "python": [repr(document)],
        "only structured": [],
        "two blocks": ["W&B says:", text],
    }.get(spelling, [text])
    content = [{"type": "text", "text": one} for one in texts]
    told = {"content": content, "isError": False, "structuredContent": structured}
    if spelling in ("no structured", "python", "json in json", "words around"):
        del told["structuredContent"]
    return told


def _cut(value: Any, length: int) -> Any:
    if isinstance(value, str):
        return value if len(value) <= length else value[:length] + "..."
    if isinstance(value, list):
        return [_cut(item, length) for item in value]
    return {key: _cut(item, length) for key, item in value.items()} if isinstance(value, dict) else value


def _within(document: dict[str, Any], tokens: int) -> dict[str, Any]:
    """The reply within its budget, by the levels of the official server."""
    traces = document["traces"]

    def fits(some: list[dict[str, Any]]) -> bool:
        return len(json.dumps(some)) // 4 <= tokens

    if fits(traces):
        return document
    levels: list[tuple[str, list[dict[str, Any]]]] = [
        (
            "L1: inputs/output shortened",
            [t | {k: _cut(t[k], 100) for k in ("inputs", "output") if k in t} for t in traces],
        ),
        ("L2: dropped inputs/output", [{k: v for k, v in t.items() if k not in ("inputs", "output")} for t in traces]),
        ("L3: kept only diagnostic fields", [{k: t[k] for k in OUTLINE} for t in traces]),
    ]
    note, kept = next(((n, some) for n, some in levels if fits(some)), ("L4: sampled", []))
    if not kept:
        every = max(2, len(json.dumps(levels[-1][1])) // 4 // tokens + 1)
        kept = levels[-1][1][::every]
    dropped = {"truncation_dropped_count": len(traces) - len(kept), "truncation_note": note}
    return {"metadata": document["metadata"] | {"truncation_applied": True} | dropped, "traces": kept}


def _rounded(value: Any, digits: int) -> Any:
    """Numbers to so many decimals, and as texts where they are none."""
    if isinstance(value, float):
        return round(value, digits)
    if isinstance(value, str) and value.startswith("{"):
        return json.dumps(_rounded(json.loads(value), digits))
    if isinstance(value, list):
        return [_rounded(item, digits) for item in value]
    return {key: _rounded(item, digits) for key, item in value.items()} if isinstance(value, dict) else value


def _without_nulls(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return value
