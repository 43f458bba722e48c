"""The repositories of the Hub's double: commits of whole trees, and files as Git or LFS would name them."""

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

LFS_SUFFIXES = (".safetensors", ".parquet", ".bin", ".npz", ".gz", ".zip")
LFS_BYTES = 10_000_000

Tree = dict[str, bytes]


class Refused(Exception):
    """An answer other than 200.

    Args:
        status: Of the answer.
        words: Its error.
        code: As the Hub's own header says it.
    """

    def __init__(self, status: int, words: str, code: str | None = None) -> None:
        super().__init__(words)
        self.status, self.code = status, code


@dataclass
class Repo:
    """One repository; the newest commit is the last."""

    kind: str
    name: str
    private: bool
    commits: list[tuple[str, Tree]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.commit({".gitattributes": b"*.safetensors filter=lfs\n"})

    @property
    def head(self) -> str:
        return self.commits[-1][0]

    def tree(self, revision: str = "main") -> Tree:
        for oid, tree in self.commits:
            if oid == (self.head if revision == "main" else revision):
                return tree
        raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def commit(self, tree: Tree) -> str:
        made_of = [self.kind, self.name, len(self.commits), {path: blob_id(data) for path, data in tree.items()}]
        self.commits.append((hashlib.sha1(json.dumps(made_of, sort_keys=True).encode()).hexdigest(), tree))
        return self.head

    def change(self, lines: list[dict[str, Any]], stored: dict[str, bytes]) -> str:
        """One commit of operations, as the Hub's own library sends them."""
        tree = dict(self.tree())
        for line in lines:
            key, value = line["key"], line["value"]
            if key == "header" and value.get("parentCommit") not in (None, self.head):
                raise Refused(412, "A commit has happened since. Please refresh and try again.")
            if key == "file":
                tree[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                if value["oid"] not in stored:
                    raise Refused(400, f"LFS pointer pointed to a file that does not exist: {value['path']}")
                tree[value["path"]] = stored[value["oid"]]
            elif key == "deletedFile":
                if tree.pop(value["path"], None) is None:
                    raise Refused(404, f"{value['path']} is not there", "EntryNotFound")
            elif key == "deletedFolder":
                tree = {path: data for path, data in tree.items() if not path.startswith(f"{value['path']}/")}
        return self.commit(tree)

    def entries(self, revision: str, folder: str, recursive: bool) -> list[dict[str, Any]]:
        """What the tree lists below a folder."""
        prefix = f"{folder}/" if folder else ""
        inside = {path: data for path, data in self.tree(revision).items() if path.startswith(prefix)}
        if folder and not inside:
            raise Refused(404, f"{folder} does not exist on {revision}", "EntryNotFound")
        listed, folders = [], set()
        for path, data in inside.items():
            first, slash, _ = path[len(prefix) :].partition("/")
            if slash:
                folders.add(prefix + first)
            if not slash or recursive:
                listed.append(entry(path, data))
        return [*listed, *({"type": "directory", "path": path, "size": 0, "oid": "0" * 40} for path in sorted(folders))]


def is_lfs(path: str, size: int) -> bool:
    return path.endswith(LFS_SUFFIXES) or size > LFS_BYTES


def entry(path: str, data: bytes) -> dict[str, Any]:
    """One file, as the tree lists it."""
    listed: dict[str, Any] = {"type": "file", "path": path, "size": len(data), "oid": blob_id(data)}
    if is_lfs(path, len(data)):
        listed["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
    return listed


def blob_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def etag(path: str, data: bytes) -> str:
    return hashlib.sha256(data).hexdigest() if is_lfs(path, len(data)) else blob_id(data)
