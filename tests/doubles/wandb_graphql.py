"""The GraphQL that the W&B SDK writes with: each operation of it that the double knows, and what it answers.

The SDK checks answers strictly, so each holds every field that the SDK selects.
"""

import base64
import json
from collections.abc import Callable
from typing import Any

from tests.doubles.wandb_store import Project, WandbStore, moment

Variables = dict[str, Any]
FEATURES = ("PROJECT_ARTIFACT_COLLECTION_MEMBERSHIP",)


class UnknownOperation(ValueError):
    """An operation that this double has no answer for."""


class NotFound(ValueError):
    """The words of a GraphQL error."""


class GraphqlWriting:
    """Answers operations by name, and keeps what they bring.

    Args:
        store: Where it is kept.
        url: Where files are to be put; set once the server listens.
    """

    def __init__(self, store: WandbStore) -> None:
        self.url = ""
        self._store = store
        self._artifacts: dict[str, tuple[Project, dict[str, Any]]] = {}
        self._answers: dict[str, Callable[[Variables], dict[str, Any]]] = {
            "Viewer": self._viewer,
            "GetDefaultEntity": self._viewer,
            "DefaultEntity": self._viewer,
            "viewer": self._viewer,
            "ServerFeaturesQuery": self._features,
            "Project": self._project,
            "project": self._project,
            "UpsertModel": self._made_project,
            "UpsertBucket": self._run,
            "RunResumeStatus": self._resume_status,
            "Run": self._run_as_read,
            "RunFiles": self._files_as_read,
            "CreateRunFiles": self._run_files,
            "ArtifactType": self._artifact_type,
            "ArtifactByID": self._artifact_by_id,
            "ArtifactMembershipByName": self._membership,
            "CreateArtifact": self._artifact,
            "CreateArtifactManifest": self._manifest,
            "UpdateArtifactManifest": self._manifest,
            "CreateArtifactFiles": self._artifact_files,
            "CommitArtifact": self._commit,
            "UseArtifact": self._use,
        }

    def answer(self, operation: str, variables: Variables) -> dict[str, Any]:
        """The `data` of the answer.

        Raises:
            UnknownOperation: there is no such operation here.
            NotFound: what it names is not there.
        """
        if operation not in self._answers:
            raise UnknownOperation(f"no operation {operation!r}; there are {', '.join(self._answers)}")
        return self._answers[operation](variables)

    def put(self, path: str, content: bytes) -> bool:
        """Keep a file that was sent to the URL it was told; whether anybody was told that one."""
        kind, _, rest = path.partition("/")
        owner, _, name = rest.partition("/")
        if kind == "artifact" and owner in self._artifacts:
            self._artifacts[owner][1]["files"][name] = content
        elif kind == "manifest" and owner in self._artifacts:
            self._artifacts[owner][1]["manifest"] = json.loads(content)
        elif kind == "run":
            run_id, _, name = name.partition("/")
            entity, _, project = owner.partition(":")
            found = self._store.found(entity, project)
            if found is None or run_id not in found.runs:
                return False
            found.runs[run_id]["files"][name] = content
        else:
            return False
        return True

    def _viewer(self, _: Variables) -> dict[str, Any]:
        store = self._store
        viewer = {
            "id": "user-1", "entity": store.entity, "username": store.username, "email": "tester@example.com",
            "name": "Tester", "admin": False, "flags": "{}", "teams": {"edges": []}, "apiKeys": {"edges": []},
            "deletedAt": None, "defaultEntity": {"name": store.entity},
        }  # fmt: skip
        return {"viewer": viewer}

    def _features(self, _: Variables) -> dict[str, Any]:
        return {"serverInfo": {"features": [{"name": name, "isEnabled": True} for name in FEATURES]}}

    def _place(self, variables: Variables) -> Project:
        entity = variables.get("entity") or variables.get("entityName") or self._store.entity
        name = variables.get("project") or variables.get("projectName") or variables.get("name")
        assert isinstance(entity, str) and isinstance(name, str), f"no project in {variables}"
        return self._store.project(entity, name)

    def _project(self, variables: Variables) -> dict[str, Any]:
        found = self._store.found(variables["entityName"], variables["name"])
        return {"project": None if found is None else _project_facts(found)}

    def _made_project(self, variables: Variables) -> dict[str, Any]:
        made = self._place(variables)
        facts = _project_facts(made)
        return {"upsertModel": {"model": facts, "project": facts, "inserted": True}}

    def _run(self, variables: Variables) -> dict[str, Any]:
        project = self._place(variables)
        id = str(variables["name"])
        is_new = id not in project.runs
        names = {"displayName": "displayName", "groupName": "group", "jobType": "jobType", "tags": "tags"}
        facts = {kept: variables[sent] for sent, kept in names.items() if variables.get(sent) is not None}
        if variables.get("config"):
            facts["config"] = _plain(variables["config"])
        if variables.get("summaryMetrics"):
            facts["summaryMetrics"] = json.loads(variables["summaryMetrics"])
        if is_new or project.runs[id]["state"] != "running":
            facts["state"] = "running"
        run = project.add_run(id, **facts)
        bucket = {
            "id": _run_key(project, id), "name": id, "displayName": run["displayName"], "description": None,
            "config": variables.get("config") or "{}", "sweepName": None, "project": _project_facts(project),
            "historyLineCount": len(run["history"]),
        }  # fmt: skip
        return {"upsertBucket": {"bucket": bucket, "inserted": is_new}}

    def _resume_status(self, variables: Variables) -> dict[str, Any]:
        project = self._place({"entity": variables["entity"], "project": variables["project"]})
        run = project.runs.get(variables["name"])
        return {"model": _project_facts(project) | {"bucket": run and _resumable(project, run)}}

    def _run_as_read(self, variables: Variables) -> dict[str, Any]:
        project = self._place(variables)
        run = project.runs.get(variables["name"])
        return {"project": _project_facts(project) | {"run": run and _read(project, run)}}

    def _files_as_read(self, variables: Variables) -> dict[str, Any]:
        project = self._place(variables)
        files = project.runs[variables["name"]]["files"]
        nodes = [_file(name, content) for name, content in files.items() if name in variables["fileNames"]]
        edges = [{"node": node, "cursor": str(number)} for number, node in enumerate(nodes)]
        page = {"edges": edges, "pageInfo": {"endCursor": None, "hasNextPage": False}}
        return {"project": {"internalId": "1", "run": {"fileCount": len(files), "files": page}}}

    def _run_files(self, variables: Variables) -> dict[str, Any]:
        project = self._place(variables)
        place = f"{self.url}/storage/run/{project.entity}:{project.name}/{variables['run']}"
        files = [{"name": name, "uploadUrl": f"{place}/{name}"} for name in variables["files"]]
        made = {"runID": _run_key(project, variables["run"]), "uploadHeaders": [], "files": files}
        return {"createRunFiles": made}

    def _artifact_type(self, variables: Variables) -> dict[str, Any]:
        found = self._found_artifact(variables)
        return {"project": {"artifact": found and {"artifactType": {"name": found[1]["type"]}}}}

    def _artifact_by_id(self, variables: Variables) -> dict[str, Any]:
        return {"artifact": _artifact_facts(*self._artifacts[variables["id"]])}

    def _membership(self, variables: Variables) -> dict[str, Any]:
        found = self._found_artifact(variables)
        if found is None:
            return {"project": {"artifactCollectionMembership": None}}
        project, artifact = found
        return {
            "project": {
                "artifactCollectionMembership": {
                    "__typename": "ArtifactCollectionMembership",
                    "id": f"member-{artifact['id']}",
                    "versionIndex": artifact["version"],
                    "createdAt": artifact["createdAt"],
                    "aliases": _aliases(artifact),
                    "artifactCollection": _collection(project, artifact, "ArtifactSequence"),
                    "artifact": _artifact_facts(project, artifact),
                }
            }
        }

    def _artifact(self, variables: Variables) -> dict[str, Any]:
        sent = variables["input"]
        project = self._store.project(sent["entityName"], sent["projectName"])
        name = sent["artifactCollectionName"] or sent["artifactCollectionNames"][0]
        aliases = [alias["alias"] for alias in sent.get("aliases") or []]
        same = [
            one
            for one in project.artifacts
            if (one["name"], one["digest"], one["state"]) == (name, sent["digest"], "COMMITTED")
        ]
        if same:  # the same content is the same version
            made = same[0]
            made["aliases"] = list(dict.fromkeys([*made["aliases"], *aliases]))
        else:
            metadata = json.loads(sent.get("metadata") or "{}")
            made = project.add_artifact(
                name,
                sent["artifactTypeName"],
                digest=sent["digest"],
                aliases=aliases,
                metadata=metadata,
                state="PENDING",
            )
        self._artifacts[made["id"]] = (project, made)
        run = project.runs.get(sent.get("runName"))
        if run is not None and made["id"] not in run["logged"]:
            run["logged"].append(made["id"])
        latest = [one for one in project.artifacts if one["name"] == name and one["state"] == "COMMITTED"]
        sequence = {"id": f"sequence-{name}", "name": name, "latestArtifact": latest[-1:] and {"id": latest[-1]["id"]}}
        sequence["latestArtifact"] = sequence["latestArtifact"] or None
        facts = {"id": made["id"], "state": made["state"], "digest": made["digest"], "artifactSequence": sequence}
        return {"createArtifact": {"artifact": facts | {"versionIndex": made["version"]}}}

    def _manifest(self, variables: Variables) -> dict[str, Any]:
        id = variables.get("artifactID") or str(variables["artifactManifestID"]).removeprefix("manifest-")
        file = {"id": f"file-{id}", "uploadUrl": f"{self.url}/storage/manifest/{id}/manifest.json", "uploadHeaders": []}
        made = {"artifactManifest": {"id": f"manifest-{id}", "file": file}}
        return {"createArtifactManifest": made, "updateArtifactManifest": made}

    def _artifact_files(self, variables: Variables) -> dict[str, Any]:
        nodes = []
        for file in variables["input"]["artifactFiles"]:
            path = f"artifact/{file['artifactID']}/{file['name']}"
            nodes.append(
                {
                    "storagePath": path,
                    "uploadUrl": f"{self.url}/storage/{path}",
                    "uploadHeaders": [],
                    "uploadMultipartUrls": None,
                    "artifact": {"id": file["artifactID"]},
                }
            )
        return {"createArtifactFiles": {"files": {"edges": [{"node": node} for node in nodes]}}}

    def _commit(self, variables: Variables) -> dict[str, Any]:
        project, artifact = self._artifacts[variables["artifactID"]]
        missing = set(artifact["manifest"]["contents"]) - set(artifact["files"])
        for name, entry in artifact["manifest"]["contents"].items():
            if "ref" not in entry and name in missing:
                raise NotFound(f"the file {name!r} of {artifact['name']!r} was not put")
        for other in project.artifacts:
            if other["name"] == artifact["name"]:  # an alias points to one version
                other["aliases"] = (
                    [alias for alias in other["aliases"] if alias not in artifact["aliases"]]
                    if (other is not artifact)
                    else other["aliases"]
                )
        artifact["state"] = "COMMITTED"
        return {"commitArtifact": {"artifact": {"id": artifact["id"], "digest": artifact["digest"]}}}

    def _use(self, variables: Variables) -> dict[str, Any]:
        sent = variables.get("input") or variables
        project = self._store.project(sent["entityName"], sent["projectName"])
        run = project.runs.get(sent["runName"])
        if run is None or sent["artifactID"] not in self._artifacts:
            raise NotFound(f"run {sent['runName']!r} cannot use artifact {sent['artifactID']!r}: one is not there")
        if sent["artifactID"] not in run["used"]:
            run["used"].append(sent["artifactID"])
        return {"useArtifact": {"artifact": _artifact_facts(*self._artifacts[sent["artifactID"]])}}

    def _found_artifact(self, variables: Variables) -> tuple[Project, dict[str, Any]] | None:
        project = self._store.found(variables["entity"], variables["project"])
        name, _, alias = variables["name"].partition(":")
        for artifact in project.artifacts if project else []:
            wanted = {f"v{artifact['version']}", *artifact["aliases"]}
            if artifact["name"] == name and artifact["state"] == "COMMITTED" and (alias or "latest") in wanted:
                assert project is not None
                self._artifacts[artifact["id"]] = (project, artifact)
                return project, artifact
        return None


def _plain(config: str) -> dict[str, Any]:
    """A config as plain values; the SDK wraps each, and adds its own under `_wandb`."""
    return {name: entry["value"] for name, entry in json.loads(config).items() if name != "_wandb"}


def _run_key(project: Project, id: str) -> str:
    return base64.b64encode(f"Run:v1:{id}:{project.name}:{project.entity}".encode()).decode()


def _project_facts(project: Project) -> dict[str, Any]:
    entity = {"id": f"entity-{project.entity}", "name": project.entity}
    return {
        "id": f"project-{project.id}", "internalId": f"internal-{project.id}", "name": project.name,
        "entityName": project.entity, "entity": entity,
    }  # fmt: skip


def _resumable(project: Project, run: dict[str, Any]) -> dict[str, Any]:
    tail = [json.dumps(row) for row in run["history"][-1:]]
    config = {name: {"value": value} for name, value in run["config"].items()}
    return {
        "id": _run_key(project, run["id"]), "name": run["id"], "displayName": run["displayName"], "logLineCount": 0,
        "summaryMetrics": json.dumps(run["summaryMetrics"]), "historyLineCount": len(run["history"]),
        "eventsLineCount": 0, "historyTail": json.dumps(tail), "eventsTail": "[]", "config": json.dumps(config),
        "tags": run["tags"], "notes": None, "wandbConfig": '{"t": 1}',
    }  # fmt: skip


def _read(project: Project, run: dict[str, Any]) -> dict[str, Any]:
    same = ("displayName", "group", "jobType", "tags", "state", "createdAt", "heartbeatAt")
    return {
        **{name: run[name] for name in same}, "id": _run_key(project, run["id"]), "name": run["id"], "projectId": "1",
        "config": json.dumps({name: {"value": value} for name, value in run["config"].items()}), "sweepName": None,
        "summaryMetrics": json.dumps(run["summaryMetrics"]), "systemMetrics": "{}", "commit": None, "readOnly": False,
        "description": None, "notes": None, "historyLineCount": len(run["history"]),
        "user": {"name": "Tester", "username": "tester"},
        "historyKeys": {"lastStep": run["history"][-1]["_step"] if run["history"] else -1, "keys": {}},
    }  # fmt: skip


def _file(name: str, content: bytes) -> dict[str, Any]:
    return {
        "id": f"file-{name}", "name": name, "url": None, "directUrl": None, "sizeBytes": len(content),
        "mimetype": None, "updatedAt": moment(), "md5": None,
    }  # fmt: skip


def _collection(project: Project, artifact: dict[str, Any], typename: str) -> dict[str, Any]:
    return {"__typename": typename, "name": artifact["name"], "project": _project_facts(project)}


def _aliases(artifact: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"__typename": "ArtifactAlias", "id": f"alias-{alias}", "alias": alias, "artifactCollection": None}
        for alias in artifact["aliases"]
    ]


def _artifact_facts(project: Project, artifact: dict[str, Any]) -> dict[str, Any]:
    collection = _collection(project, artifact, "ArtifactSequence")
    return {
        "__typename": "Artifact",
        "id": artifact["id"],
        "artifactSequence": collection,
        "versionIndex": artifact["version"],
        "artifactType": {"name": artifact["type"]},
        "description": None,
        "metadata": json.dumps(artifact["metadata"]),
        "ttlDurationSeconds": -2,
        "ttlIsInherited": True,
        "tags": [],
        "historyStep": None,
        "state": artifact["state"],
        "size": sum(map(len, artifact["files"].values())),
        "digest": artifact["digest"],
        "digestAlgorithm": "MANIFEST_MD5",
        "commitHash": "commit",
        "fileCount": len(artifact["files"]),
        "createdAt": artifact["createdAt"],
        "updatedAt": moment(),
        "aliases": [alias | {"artifactCollection": collection} for alias in _aliases(artifact)],
    }
