"""What goes to the Hugging Face Hub and comes from it: its own library, against a double that speaks its HTTP."""

import json
from pathlib import Path

import pytest
from mcp import Client

from servers.augment.server import build_room as augment_room
from servers.core.hub import HubError, hardware_price, resolved_namespace
from servers.core.services import Services
from servers.core.settings import JobsSettings, Settings
from servers.eval import importing
from servers.retrain.server import build_room as retrain_room
from tests.doubles.hub import TOKEN, Fault, HubDouble
from tests.test_retrain_server import FIRST, TASK, World
from tests.workshop import call, refusal

pytestmark = [pytest.mark.anyio, pytest.mark.services]
REPO = "ada/etude-small"


def services(**jobs: str) -> Services:
    return Services.here(Settings(jobs=JobsSettings.model_validate(jobs)))


async def test_a_dataset_is_published_private_without_its_sealed_split_and_once(tmp_path: Path, hub: HubDouble):
    """Ours: the same version again makes no commit; a folder alone reaches nobody."""
    world = World(tmp_path)
    version = {"dataset": "small", "dataset_version": world.card.fingerprint}

    async with Client(augment_room(world.workspace, TASK, services()).server) as client:
        alone = await call(client, "publish_dataset", **version)
        reached = len(hub.seen)
        first = await call(client, "publish_dataset", **version, to_hub=True)
        again = await call(client, "publish_dataset", **version, to_hub=True)

    assert alone["on_hub"] is None and reached == 0
    assert first == again
    assert first["on_hub"] == {"url": f"{hub.url}/datasets/{REPO}", "revision": hub.repos["dataset", REPO].head}
    assert hub.repos["dataset", REPO].private and hub.count("commit/main") == 1
    assert sorted(hub.files("dataset", REPO)) == [".gitattributes", "README.md", "diagnose.jsonl", "train.jsonl"]
    assert len(hub.files("dataset", REPO)["train.jsonl"].splitlines()) == 30


@pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")  # the library's own way to send a large file
async def test_a_model_is_published_with_a_card_and_only_if_it_is_intact(tmp_path: Path, hub: HubDouble):
    """Ours: what is published is what was trained, and says how it was."""
    world = World(tmp_path)
    world.trained(FIRST)
    repo = f"ada/etude-kotone-{FIRST}"

    async with Client(retrain_room(world.workspace, TASK, services()).server) as client:
        published = await call(client, "publish_model", model=FIRST)
        again = await call(client, "publish_model", model=FIRST)
        weights = world.workspace.job_dir(FIRST.replace("student", "train")) / "model" / "student.json"
        weights.write_text(weights.read_text() + " ")
        meddled = await refusal(client, "publish_model", model=FIRST)
        unknown = await refusal(client, "publish_model", model="student-00000000000f")

    assert published == again == {"url": f"{hub.url}/{repo}", "revision": hub.repos["model", repo].head}
    assert hub.repos["model", repo].private
    assert sorted(hub.files("model", repo)) == [".gitattributes", "README.md", "student.json", "weights.npz"]
    assert "Not measured yet." in hub.files("model", repo)["README.md"].decode()
    assert "not those that were trained" in meddled and "no model" in unknown


@pytest.mark.parametrize("status", [401, 403, 404, 422])
async def test_a_refusal_of_the_hub_is_one_line_without_the_token(status: int, tmp_path: Path, hub: HubDouble):
    """Ours: the caller learns what to mend; nothing here changes."""
    world = World(tmp_path)
    hub.faults = [Fault("commit/main", "status", status)]

    async with Client(augment_room(world.workspace, TASK, services()).server) as client:
        words = await refusal(
            client, "publish_dataset", dataset="small", dataset_version=world.card.fingerprint, to_hub=True
        )

    assert "Hugging Face does not take the files" in words and TOKEN not in words and "\n" not in words


async def test_without_a_token_nothing_is_published(tmp_path: Path):
    """Ours: a missing key is said before anything is tried."""
    world = World(tmp_path)

    async with Client(
        augment_room(world.workspace, TASK, Services(Settings(jobs=JobsSettings(namespace="ada")))).server
    ) as client:
        words = await refusal(
            client, "publish_dataset", dataset="small", dataset_version=world.card.fingerprint, to_hub=True
        )

    assert "HF_TOKEN" in words


def rows(n: int) -> bytes:
    def row(number: int) -> dict[str, object]:
        target = {name: (number * 7 + place * 13) % 101 for place, name in enumerate(TASK.names)}
        return {"id": f"r{number}", "text": f"piece {number} with word{number} and other{number * 3}", **target}

    return "".join(json.dumps(row(number)) + "\n" for number in range(n)).encode()


def published_rows(hub: HubDouble, n: int) -> str:
    """Put a dataset of so many rows on the Hub; its commit."""
    from tests.doubles.hub_repos import Repo

    repo = hub.repos.setdefault(("dataset", "eve/songs"), Repo("dataset", "eve/songs", private=True))
    return repo.commit({"README.md": b"# songs\n", "data/train.jsonl": rows(n)})


async def test_a_dataset_of_the_hub_is_imported_at_a_revision(
    tmp_path: Path, hub: HubDouble, capsys: pytest.CaptureFixture[str]
):
    """Ours: the card says which commit the rows are of, whatever was pushed since; no copy of them stays behind."""
    old, _ = published_rows(hub, 100), published_rows(hub, 140)
    asked = ["--artifacts", str(tmp_path / "artifacts"), "--json"]

    pinned = importing.run([f"hf://eve/songs@{old}", "--name", "pinned", *asked])
    first = json.loads(capsys.readouterr().out)
    newest = importing.run(["hf://eve/songs", "--name", "newest", *asked])
    second = json.loads(capsys.readouterr().out)

    assert (pinned, newest) == (0, 0)
    assert (first["read"], second["read"]) == (100, 140)
    card = json.loads((tmp_path / "artifacts" / "datasets" / "pinned" / "import.json").read_text())
    assert card["hub"] == {f"hf://eve/songs@{old}": old}
    assert TOKEN not in json.dumps(card)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("hf://songs", "no address of a dataset"),
        ("hf://eve/nothing", "does not show dataset eve/nothing"),
        ("hf://eve/songs@v9", "does not show dataset eve/songs at v9"),
        ("hf://eve/empty", "holds no file"),
    ],
)
async def test_an_address_that_leads_nowhere_is_one_line(
    address: str, words: str, tmp_path: Path, hub: HubDouble, capsys: pytest.CaptureFixture[str]
):
    """Ours: nothing is written unless rows came."""
    from tests.doubles.hub_repos import Repo

    published_rows(hub, 100)
    hub.repos["dataset", "eve/empty"] = Repo("dataset", "eve/empty", private=False)

    code = importing.run([address, "--name", "mine", "--artifacts", str(tmp_path / "artifacts")])

    said = capsys.readouterr().err.strip()
    assert code == 1 and words in said and said.startswith("etude import: ")
    assert not (tmp_path / "artifacts" / "datasets").exists()


async def test_one_split_of_a_dataset_can_be_taken(tmp_path: Path, hub: HubDouble, capsys: pytest.CaptureFixture[str]):
    """Ours: by the name of a file or of its folder, as repositories of the Hub have them."""
    from tests.doubles.hub_repos import Repo

    repo = hub.repos["dataset", "eve/split"] = Repo("dataset", "eve/split", private=True)
    repo.commit({"train/0000.jsonl": rows(100), "data/test-00000-of-00001.jsonl": rows(140)})
    asked = ["hf://eve/split", "--artifacts", str(tmp_path / "artifacts"), "--json"]

    codes = [importing.run([*asked, "--name", f"only-{one}", "--split", one]) for one in ("train", "test")]
    told = capsys.readouterr().out
    none = importing.run([*asked, "--name", "none", "--split", "validation"])

    assert codes == [0, 0] and '"read": 100' in told and '"read": 140' in told
    said = capsys.readouterr().err
    assert none == 1 and "no file is called after the split 'validation'" in said and "0000.jsonl" in said


async def test_prices_and_names_are_asked_for_again_where_that_may_help(hub: HubDouble):
    """Ours: a server's error now and then is no reason to refuse a plan; a refusal is not asked again."""
    hub.faults = [Fault("hardware", "status", 500), Fault("whoami", "reset", times=2)]

    assert hardware_price(services(), "t4-small") == 0.006667
    assert hardware_price(services(), "abacus") is None
    assert (resolved_namespace(services()), resolved_namespace(services(namespace="team"))) == ("ada", "team")
    asked = len(hub.seen)
    hub.faults = [Fault("hardware", "status", 401, times=9)]
    with pytest.raises(HubError, match="HF_TOKEN is missing, wrong or expired") as refused:
        hardware_price(services(), "t4-small")
    assert len(hub.seen) == asked + 1 and TOKEN not in str(refused.value)


async def test_a_hub_that_is_not_there_is_said_to_be(hub: HubDouble, monkeypatch: pytest.MonkeyPatch):
    """Ours: nobody listens: after a few tries one line says so."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")

    with pytest.raises(HubError, match="does not say what its hardware costs"):
        hardware_price(services(), "t4-small")
