"""Dataset versions and models on the Hub, over HTTP with its own library: private, once, and nothing sealed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from servers.augment import server as augment
from servers.core.dataset import DatasetStore
from servers.core.hub import HubError, asked
from servers.core.services import Services
from servers.core.workspace import Workspace
from servers.eval.custody import Custody
from servers.retrain import server as retrain
from tests.doubles.hub import TOKEN, Fault, HubDouble
from tests.judge_world import KOTONE, candidate_in
from tests.workshop import call, refusal

pytestmark = [pytest.mark.anyio, pytest.mark.services]
# The library's own way to send a large file.
BIG_FILES = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")
DATA, FILES = "ada/etude-mine", {"README.md", "diagnose.jsonl", "train.jsonl"}


@pytest.fixture
def hub() -> Iterator[HubDouble]:
    with HubDouble() as double:
        yield double


def maker(folder: Path, hub: HubDouble, **environment: str) -> Client:
    services = Services(environment=hub.environment | environment)
    return Client(augment.build_room(Workspace(folder), KOTONE, services).server)


def releaser(folder: Path, hub: HubDouble, **environment: str) -> Client:
    services = Services(environment=hub.environment | environment)
    return Client(retrain.build_room(Workspace(folder), KOTONE, services).server)


def version(folder: Path) -> dict[str, Any]:
    return {"dataset": "mine", "dataset_version": DatasetStore(Workspace(folder)).head("mine").fingerprint}


async def test_a_version_is_published_private_once_and_without_a_sealed_row(folder: Path, hub: HubDouble):
    """Ours: the open splits and the card as they lie here; the same version again is no second commit."""
    async with maker(folder, hub) as client:
        first = await call(client, "publish_dataset", **version(folder), to_hub=True)
        again = await call(client, "publish_dataset", **version(folder), to_hub=True)

    files, repo = hub.files("dataset", DATA), hub.repos["dataset", DATA]
    assert first == again and first["on_hub"]["revision"] == repo.head
    assert first["on_hub"]["url"] == f"{hub.url}/datasets/{DATA}"
    assert repo.private and len(repo.commits) == 2 and hub.count("POST .*/commit/") == 1
    assert files.keys() == FILES | {".gitattributes"}
    assert all(files[name] == (folder / first["path"] / name).read_bytes() for name in FILES)
    sealed = Custody(Workspace(folder), KOTONE).gate(DatasetStore(Workspace(folder)).head("mine"))
    everything = b"".join(files.values()).decode()
    assert sealed and not any(row.text in everything or row.id in everything for row in sealed)


async def test_a_file_that_was_laid_into_the_folder_is_not_uploaded(folder: Path, hub: HubDouble):
    """Ours: what is uploaded is what the open splits hold, whatever somebody put beside or into it."""
    async with maker(folder, hub) as client:
        told = await call(client, "publish_dataset", **version(folder))
        stray = folder / told["path"] / "gate.jsonl"
        stray.write_text("{}\n")
        beside = await refusal(client, "publish_dataset", **version(folder), to_hub=True)
        stray.unlink()
        with (folder / told["path"] / "train.jsonl").open("a") as file:
            file.write("{}\n")
        inside = await refusal(client, "publish_dataset", **version(folder), to_hub=True)

    assert "delete it and call publish_dataset again" in beside and beside == inside and hub.seen == []


@BIG_FILES
async def test_a_model_is_published_with_its_weights_card_and_interval(folder: Path, hub: HubDouble):
    """Ours: whoever finds it on the Hub sees what it was measured at, and on what."""
    model = candidate_in(folder)
    async with releaser(folder, hub) as client:
        first = await call(client, "publish_model", model=model)
        again = await call(client, "publish_model", model=model)

    name = f"ada/etude-kotone-{model}"
    files, repo = hub.files("model", name), hub.repos["model", name]
    assert (
        first == again
        and first["url"] == f"{hub.url}/{name}"
        and first["revision"] == repo.head
        and len(repo.commits) == 2
    )
    (made,) = folder.glob("jobs/train-*/model")
    weights = {file.relative_to(made).as_posix(): file.read_bytes() for file in made.rglob("*") if file.is_file()}
    assert {**weights, "README.md": files["README.md"], ".gitattributes": files[".gitattributes"]} == files
    card = files["README.md"].decode()
    assert repo.private and f"# {model}" in card and "| metric | value | 95 % interval |" in card
    assert "| `vector_mae` |" in card and "Not measured yet" not in card


@BIG_FILES
async def test_what_lies_beside_a_model_stays(folder: Path, hub: HubDouble):
    """Ours: a training on Hugging Face leaves its results in the same repository, and publishing keeps them."""
    model = candidate_in(folder)
    async with releaser(folder, hub) as client:
        await call(client, "publish_model", model=model)
        repo = hub.repos["model", f"ada/etude-kotone-{model}"]
        repo.commit({**repo.tree(), "job/result.json": b"{}", "README.md": b"# mine now"})
        await call(client, "publish_model", model=model)

    assert repo.tree()["job/result.json"] == b"{}" and f"# {model}".encode() in repo.tree()["README.md"]


async def test_a_commit_whose_answer_is_lost_is_not_made_twice(folder: Path, hub: HubDouble):
    """Ours: what it left is found when it is tried again."""
    hub.faults = [Fault("POST .*/commit/", "lost")]
    async with maker(folder, hub) as client:
        told = await call(client, "publish_dataset", **version(folder), to_hub=True)

    repo = hub.repos["dataset", DATA]
    assert told["on_hub"]["revision"] == repo.head and len(repo.commits) == 2


PASSING = [
    Fault("whoami", "reset"),
    Fault("repos/create", "status", 500),
    Fault("preupload", "half"),
    Fault("/commit/", "status", 429, headers={"Retry-After": "0"}),
    Fault("/commit/", "status", 503),
    Fault("preupload", "reset"),
]


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: f"{fault.request}-{fault.how}")
async def test_what_passes_is_tried_again(fault: Fault, folder: Path, hub: HubDouble):
    """Ours: success after a retry, and one commit."""
    hub.faults = [Fault(**vars(fault))]
    async with maker(folder, hub) as client:
        told = await call(client, "publish_dataset", **version(folder), to_hub=True)

    repo = hub.repos["dataset", DATA]
    assert hub.faults[0].times == 0 and told["on_hub"]["revision"] == repo.head and len(repo.commits) == 2


LASTING = [
    (Fault("", "status", 401, times=99), "HF_TOKEN is missing, wrong or expired"),
    (Fault("repos/create", "status", 403, times=99), "HF_TOKEN may not do this"),
    (Fault("/commit/", "status", 404, times=99), "it is not there"),
    (Fault("/commit/", "status", 422, times=99), "does not take the files of"),
    (Fault("/commit/", "status", 500, times=99), "does not take the files of"),
    (Fault("create", "reset", times=99), "does not make the repository"),
    (Fault("", "garbage", times=99), "its answer cannot be read"),
    (Fault("", "hang", times=99), "timed out"),
]


@pytest.mark.parametrize(("fault", "said"), LASTING, ids=lambda one: getattr(one, "how", ""))
async def test_what_lasts_is_one_clear_line_and_the_same_call_goes_on(
    fault: Fault, said: str, folder: Path, hub: HubDouble
):
    """Ours: no key in it, nothing half there, and once the Hub is well the call does what was asked."""
    hub.faults = [Fault(**vars(fault))]
    async with maker(folder, hub, ETUDE_HUB_TIMEOUT_S="0.1") as client:
        words = await refusal(client, "publish_dataset", **version(folder), to_hub=True)
    hub.faults = []
    async with maker(folder, hub) as client:
        told = await call(client, "publish_dataset", **version(folder), to_hub=True)

    assert said in words and TOKEN not in words and "\n" not in words
    assert (
        told["on_hub"]["revision"] == hub.repos["dataset", DATA].head and len(hub.repos["dataset", DATA].commits) == 2
    )


def test_what_took_long_to_fail_is_not_tried_again_at_once():
    """Ours: the library tries some calls again by itself, and a tool's caller waits for all of it."""
    tried: list[int] = []

    def failing() -> None:
        tried.append(1)
        raise OSError("no connection")

    with pytest.raises(HubError, match="no connection"):
        asked(Services(environment={"ETUDE_HUB_WAIT_S": "0"}), "answer", failing, patience_s=-1.0)

    assert len(tried) == 1
