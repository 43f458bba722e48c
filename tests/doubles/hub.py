"""Hugging Face over HTTP, as its own library speaks it: repositories, and Jobs that really run (`hub_jobs`).

Covered: whoami, hardware, repositories (create, delete, preupload, LFS, commit, tree, paths, revisions, resolve), jobs
(submit, list by label, inspect, logs as events, cancel). Not covered: xet, buckets, pull requests, schedules.
Every request is in `seen`; `faults` says which of them go wrong, and how.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.doubles.hub_jobs import ENDED, HubJobs
from tests.doubles.hub_repos import Refused, Repo, entry, etag, is_lfs
from tests.doubles.loopback import LoopbackServer

TOKEN = "hf_" + "t" * 34
PRICES = {"cpu-basic": 0.000167, "t4-small": 0.006667, "a10g-small": 0.016667}
METHODS = ["GET", "POST", "PUT", "HEAD", "DELETE"]
REPO = r"(?P<kind>model|dataset)s/(?P<repo>[^/]+/[^/]+)"


@dataclass
class Fault:
    """What goes wrong with the next requests that match."""

    request: str
    """Searched for in "METHOD /path"."""
    how: str
    """`status`, `reset`, `hang`, `garbage`, `half`, or `lost`: it is done, and the answer never arrives."""
    status: int = 500
    times: int = 1
    headers: dict[str, str] = field(default_factory=dict)


class HubDouble:
    """The double; it serves inside `with`.

    Args:
        prices: USD a minute by flavor.
        port: Where to listen; 0 lets the system choose.
    """

    def __init__(self, prices: dict[str, float] | None = None, port: int = 0) -> None:
        self.prices = PRICES if prices is None else prices
        self.user = "ada"
        self.repos: dict[tuple[str, str], Repo] = {}
        self.seen: list[str] = []
        """Method and path of every request."""
        self.faults: list[Fault] = []
        self.cut_logs: list[int] = []
        """After how many events the next streams of a log are cut."""
        self.forget_models = False
        """Whether what jobs commit arrives without the model."""
        self.submits_twice = False
        """Whether with the next job an earlier request is accepted that seemed to be lost."""
        self.lists_all = False
        """Whether a list of jobs is not narrowed down by labels."""
        self.jobs = HubJobs(lambda kind, name, revision: self._repo(kind, name).tree(revision))
        self._stored: dict[str, bytes] = {}
        self._port = port

    def __enter__(self) -> Self:
        self._server = LoopbackServer(
            Starlette(routes=[Route("/{path:path}", self._serve, methods=METHODS)]), self._port
        )
        self.url = self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()
        self.jobs.close()

    @property
    def environment(self) -> dict[str, str]:
        """What points Hugging Face's own library here, without waits."""
        return {
            "HF_TOKEN": TOKEN,
            "HF_ENDPOINT": self.url,
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_XET": "1",
            "ETUDE_HUB_WAIT_S": "0.01",
        }

    def files(self, kind: str, name: str) -> dict[str, bytes]:
        """The newest files of a repository."""
        return self._repo(kind, name).tree()

    def count(self, request: str) -> int:
        """How many requests match."""
        return sum(1 for one in self.seen if re.search(request, one))

    def _repo(self, kind: str, name: str) -> Repo:
        if (kind, name) not in self.repos:
            raise Refused(404, "Repository not found", "RepoNotFound")
        return self.repos[kind, name]

    async def _serve(self, request: Request) -> Response:
        body = await request.body()
        words = f"{request.method} {request.url.path}"
        self.seen.append(words)
        fault = next((one for one in self.faults if one.times > 0 and re.search(one.request, words)), None)
        if fault is None:
            return await self._answered(request, body)
        fault.times -= 1
        if fault.how == "lost":
            await self._answered(request, body)
        if fault.how in ("lost", "reset"):
            self._server.hang_up(request)
            return Response(status_code=500)
        if fault.how == "hang":
            await asyncio.sleep(3600)
        if fault.how == "garbage":
            return Response(b"<html>It works!</html>", media_type="text/html")
        if fault.how == "half":
            return StreamingResponse(self._half(request), headers={"content-length": "1000"})
        return JSONResponse({"error": f"fault for {request.headers.get('authorization')}"}, fault.status, fault.headers)

    async def _half(self, request: Request) -> AsyncIterator[bytes]:
        yield b'{"half": '
        self._server.hang_up(request)

    async def _answered(self, request: Request, body: bytes) -> Response:
        path = request.url.path
        try:
            if path.startswith("/lfs/"):  # signed addresses need no token
                return self._store(request.method, path.removeprefix("/lfs/"), body)
            if request.headers.get("authorization") != f"Bearer {TOKEN}":
                raise Refused(401, "Invalid credentials in Authorization header")
            for pattern, answer in self._routes().items():
                if match := re.fullmatch(pattern, f"{request.method} {path}"):
                    answered: Response = await answer(request, body, match)
                    return answered
            raise Refused(404, f"the double has no route for {request.method} {path}")
        except Refused as error:
            headers = {"X-Error-Code": error.code, "X-Error-Message": str(error)} if error.code else {}
            return JSONResponse({"error": str(error)}, error.status, headers)

    def _routes(self) -> dict[str, Any]:
        jobs = r"/api/jobs/(?P<namespace>[^/]+)"
        return {
            r"GET /api/whoami-v2": self._whoami,
            r"GET /api/jobs/hardware": self._hardware,
            r"POST /api/repos/create": self._create,
            r"DELETE /api/repos/delete": self._delete,
            r"POST /api/validate-yaml": self._validate,
            rf"POST /api/{REPO}/preupload/(?P<revision>.+)": self._preupload,
            rf"POST /api/{REPO}/commit/(?P<revision>.+)": self._commit,
            rf"POST /api/{REPO}/paths-info/(?P<revision>[^/]+)": self._paths,
            rf"GET /api/{REPO}/tree/(?P<revision>[^/]+)(?:/(?P<folder>.*))?": self._tree,
            rf"GET /api/{REPO}(?:/revision/(?P<revision>.+))?": self._info,
            r"POST /(?P<prefix>datasets/)?(?P<repo>[^/]+/[^/]+)\.git/info/lfs/objects/batch": self._lfs,
            r"(?:GET|HEAD) /(?P<prefix>datasets/)?(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)": (
                self._resolve
            ),
            rf"POST {jobs}": self._submit,
            rf"GET {jobs}": self._list,
            rf"GET {jobs}/(?P<job>[^/]+)": self._inspect,
            rf"GET {jobs}/(?P<job>[^/]+)/logs": self._logs,
            rf"POST {jobs}/(?P<job>[^/]+)/cancel": self._cancel,
        }

    async def _whoami(self, request: Request, body: bytes, match: re.Match[str]) -> Response:
        return JSONResponse({"type": "user", "name": self.user, "orgs": [], "auth": {"accessToken": {"role": "write"}}})

    async def _hardware(self, request: Request, body: bytes, match: re.Match[str]) -> Response:
        return JSONResponse(
            [
                {
                    "name": flavor,
                    "prettyName": flavor,
                    "cpu": "4 vCPU",
                    "ram": "16 GB",
                    "accelerator": None,
                    "unitCostMicroUSD": round(usd * 1e6),
                    "unitCostUSD": usd,
                    "unitLabel": "minute",
                }
                for flavor, usd in self.prices.items()
            ]
        )

    async def _create(self, request: Request, body: bytes, match: re.Match[str]) -> Response:
        asked = json.loads(body)
        kind, name = asked.get("type", "model"), f"{asked.get('organization') or self.user}/{asked['name']}"
        url = f"{self.url}/{'datasets/' if kind == 'dataset' else ''}{name}"
        if (kind, name) in self.repos:
            return JSONResponse({"error": "You already created this repo", "url": url}, 409)
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        self.repos[kind, name] = Repo(kind, name, private)
        return JSONResponse({"url": url, "name": name, "id": name})

    async def _delete(self, request: Request, body: bytes, match: re.Match[str]) -> Response:
        asked = json.loads(body)
        kind, name = asked.get("type", "model"), f"{asked.get('organization') or self.user}/{asked['name']}"
        self._repo(kind, name)
        del self.repos[kind, name]
        return JSONResponse({})

    async def _validate(self, request: Request, body: bytes, match: re.Match[str]) -> Response:
        return JSONResponse({"errors": [], "warnings": []})

    async def _preupload(self, request: Request, body: bytes, match: re.Match[str]) -> Response:
        tree = self._repo(match["kind"], match["repo"]).tree()
        return JSONResponse(
            {
                "files": [
                    {
                        "path": one["path"],
                        "uploadMode": "lfs" if is_lfs(one["path"], one["size"]) else "regular",
                        "shouldIgnore": False,
                        "oid": etag(one["path"], tree[one["path"]]) if one["path"] in tree else None,
                    }
                    for one in json.loads(body)["files"]
                ]
            }
        )

    async def _commit(self, request: Request, body: bytes, match: re.Match[str]) -> Response:
        repo, lines = self._repo(match["kind"], match["repo"]), [json.loads(line) for line in body.splitlines()]
        if self.forget_models:
            lines = [one for one in lines if "model/" not in one["value"].get("path", "")]
        oid = repo.change(lines, self._stored)
        return JSONResponse(
            {"success": True, "commitOid": oid, "commitUrl": f"{self.url}/{repo.name}/commit/{oid}", "hookOutput": ""}
        )

    async def _lfs(self, request: Request, body: bytes, match: re.Match[str]) -> Response:
        objects: list[dict[str, Any]] = []
        for one in json.loads(body)["objects"]:
            wanted: dict[str, Any] = {"oid": one["oid"], "size": one["size"]}
            if one["oid"] not in self._stored:
                wanted["actions"] = {"upload": {"href": f"{self.url}/lfs/{one['oid']}"}}
            objects.append(wanted)
        return JSONResponse({"transfer": "basic", "objects": objects}, media_type="application/vnd.git-lfs+json")

    def _store(self, method: str, oid: str, body: bytes) -> Response:
        if method != "PUT" or hashlib.sha256(body).hexdigest() != oid:
            raise Refused(400, "these are not the bytes that were announced")
        self._stored[oid] = body
        return Response()

    async def _paths(self, request: Request, body: bytes, match: re.Match[str]) -> Response:
        tree = self._repo(match["kind"], match["repo"]).tree(match["revision"])
        asked = (await request.form()).getlist("paths") if b"paths=" in body else json.loads(body)["paths"]
        folders = [path for path in asked if any(one.startswith(f"{path}/") for one in tree)]
        files = [entry(str(path), tree[str(path)]) for path in asked if path in tree]
        return JSONResponse([*files, *({"type": "directory", "path": path, "oid": "0" * 40} for path in folders)])

    async def _tree(self, request: Request, body: bytes, match: re.Match[str]) -> Response:
        recursive = request.query_params.get("recursive", "").lower() in ("true", "1")
        repo = self._repo(match["kind"], match["repo"])
        return JSONResponse(repo.entries(match["revision"], match["folder"] or "", recursive))

    async def _info(self, request: Request, body: bytes, match: re.Match[str]) -> Response:
        repo = self._repo(match["kind"], match["repo"])
        revision = match["revision"] or "main"
        tree = repo.tree(revision)
        sha = repo.head if revision == "main" else revision
        return JSONResponse(
            {
                "id": repo.name,
                "sha": sha,
                "private": repo.private,
                "tags": [],
                "siblings": [{"rfilename": path} for path in tree],
            }
        )

    async def _resolve(self, request: Request, body: bytes, match: re.Match[str]) -> Response:
        repo = self._repo("dataset" if match["prefix"] else "model", match["repo"])
        data = repo.tree(match["revision"]).get(match["file"])
        if data is None:
            raise Refused(404, "Entry not found", "EntryNotFound")
        headers = {
            "ETag": f'"{etag(match["file"], data)}"',
            "X-Repo-Commit": repo.head if match["revision"] == "main" else match["revision"],
            "Accept-Ranges": "bytes",
        }
        if request.method == "HEAD":
            return Response(headers={**headers, "Content-Length": str(len(data))})
        return Response(data, headers=headers, media_type="application/octet-stream")

    async def _submit(self, request: Request, body: bytes, match: re.Match[str]) -> Response:
        spec = json.loads(body)
        if spec.get("flavor") not in self.prices:
            raise Refused(422, f"flavor {spec.get('flavor')!r} is unknown")
        job = await run_in_threadpool(self.jobs.submit, match["namespace"], spec, self.url)
        if self.submits_twice:
            self.submits_twice = False
            await run_in_threadpool(self.jobs.submit, match["namespace"], spec, self.url)
        return JSONResponse(job.as_json())

    async def _list(self, request: Request, body: bytes, match: re.Match[str]) -> Response:
        labels = dict(one.split("=", 1) for one in request.query_params.getlist("label"))
        found = [
            job.as_json()
            for job in self.jobs.all.values()
            if job.namespace == match["namespace"]
            and (self.lists_all or labels.items() <= (job.spec.get("labels") or {}).items())
        ]
        return JSONResponse(found)

    async def _inspect(self, request: Request, body: bytes, match: re.Match[str]) -> Response:
        return JSONResponse(self._job(match).as_json())

    async def _cancel(self, request: Request, body: bytes, match: re.Match[str]) -> Response:
        job = self._job(match)
        await run_in_threadpool(job.cancel)
        return JSONResponse(job.as_json())

    async def _logs(self, request: Request, body: bytes, match: re.Match[str]) -> Response:
        job, cut = self._job(match), self.cut_logs.pop(0) if self.cut_logs else None

        async def events() -> AsyncIterator[str]:
            sent = 0
            while True:
                is_over = job.stage in ENDED
                for event in job.log[sent:]:
                    if sent == cut:
                        self._server.hang_up(request)
                        return
                    sent += 1
                    yield f"data: {json.dumps(event)}\n\n"
                if is_over:
                    return
                await asyncio.sleep(0.02)

        return StreamingResponse(events(), media_type="text/event-stream")

    def _job(self, match: re.Match[str]) -> Any:
        job = self.jobs.all.get(match["job"])
        if job is None or job.namespace != match["namespace"]:
            raise Refused(404, "Job not found")
        return job
