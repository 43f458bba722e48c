"""The artifacts folder: names that may be paths, one writer at a time, files that appear whole."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from servers.core.dataset import DatasetStore, Example
from servers.core.disk import append_jsonl, read_json, read_jsonl, write_json, write_jsonl
from servers.core.tracking.database import Database
from servers.core.workspace import Busy, Workspace


@pytest.mark.parametrize("name", ["..", "../up", "/etc", "a/b", "A", "", ".hidden", "a..b", "x" * 65, "a\n", "ü"])
def test_a_name_that_could_leave_the_folder_is_refused(tmp_path: Path, name: str):
    """Ours: no argument of a tool can point outside the artifacts folder."""
    with pytest.raises(ValueError, match="is not a plain name"):
        Workspace(tmp_path).dataset_dir(name, "0" * 16)


def test_a_second_writer_is_told_who_holds_the_folder(tmp_path: Path):
    """Ours: one writer at a time, and no riddle about whom to wait for."""
    with (
        Workspace(tmp_path).writing("eval.gate_candidate"),
        pytest.raises(Busy, match=r"being written by .*eval\.gate_candidate"),
        Workspace(tmp_path).writing("augment.augment_dataset", wait_s=0.05),
    ):
        raise AssertionError("two writers at once")


def test_a_writer_that_was_killed_leaves_no_lock(tmp_path: Path):
    """Ours: the kernel lets go of the lock with the process, so no lock is ever stale."""
    code = (
        "import pathlib, sys, time\n"
        "from servers.core.workspace import Workspace\n"
        "with Workspace(pathlib.Path(sys.argv[1])).writing('eval.evaluate_model'):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with pytest.raises(Busy), Workspace(tmp_path).writing("retrain.promote_model", wait_s=0):
            pass
        holder.kill()

    with Workspace(tmp_path).writing("retrain.promote_model", wait_s=0):
        assert json.loads((tmp_path / ".lock").read_text())["who"] == "retrain.promote_model"


def test_a_line_that_a_crash_cut_short_is_not_read(tmp_path: Path):
    """Ours: a half-written line never happened; what stands before it did."""
    file = tmp_path / "ledger.jsonl"
    append_jsonl(file, {"n": 1})
    with file.open("a") as cut:
        cut.write('{"n": 2')

    assert list(read_jsonl(file)) == [{"n": 1}]


@pytest.mark.parametrize("torn", ['{"n": 2', '{"text": "ü'.encode()[:-1].decode("latin-1"), "x" * 9000])
def test_a_line_after_one_that_a_crash_cut_short_stands_by_itself(tmp_path: Path, torn: str):
    """Ours: what is added goes behind the last whole line, so no line is ever half one and half another."""
    file = tmp_path / "ledger.jsonl"
    append_jsonl(file, {"n": 1})
    with file.open("ab") as cut:
        cut.write(torn.encode("latin-1"))
    before = list(read_jsonl(file))

    append_jsonl(file, {"n": 3})

    assert before == [{"n": 1}] and list(read_jsonl(file)) == [{"n": 1}, {"n": 3}]
    assert file.read_text() == '{"n": 1}\n{"n": 3}\n'


def test_a_file_that_holds_nothing_but_half_a_line_begins_anew(tmp_path: Path):
    """Ours: the first line of a ledger can be the one that a crash cut short."""
    file = tmp_path / "ledger.jsonl"
    file.write_text('{"n": 1')

    append_jsonl(file, {"n": 2})

    assert file.read_text() == '{"n": 2}\n'


def test_many_processes_that_append_at_once_lose_and_mix_nothing(tmp_path: Path):
    """Ours: servers and jobs share ledgers, and one of them may be killed in the middle of a line at any time."""
    file = tmp_path / "ledger.jsonl"
    code = (
        "import fcntl, pathlib, sys\n"
        "from servers.core.disk import append_jsonl\n"
        "file, writer = pathlib.Path(sys.argv[1]), int(sys.argv[2])\n"
        "sys.stdin.readline()\n"
        "for n in range(40):\n"
        "    append_jsonl(file, {'writer': writer, 'n': n, 'text': 'ü' * 3000 * (n % 4)})\n"
        "    if n % 8 == writer:\n"
        "        with file.open('ab') as torn:\n"
        "            fcntl.flock(torn, fcntl.LOCK_EX)\n"
        "            torn.write(b'{\"writer\": ')\n"
    )
    command = [sys.executable, "-c", code, str(file)]
    writers = [subprocess.Popen([*command, str(writer)], stdin=subprocess.PIPE) for writer in range(6)]
    for writer in writers:  # all have started by now, and begin together
        assert writer.stdin is not None
        writer.stdin.close()

    assert [writer.wait(timeout=60) for writer in writers] == [0] * 6
    rows = list(read_jsonl(file))
    assert {(row["writer"], row["n"]) for row in rows} == {(writer, n) for writer in range(6) for n in range(40)}
    assert len(rows) == 240 and all(set(row["text"]) <= {"ü"} for row in rows)


def test_a_value_that_json_cannot_hold_leaves_the_file_as_it_was(tmp_path: Path):
    """Ours: files appear whole or not at all, and hold no NaN."""
    file = tmp_path / "figures.json"
    write_json(file, {"mae": 1.5})

    with pytest.raises(ValueError):
        write_json(file, {"mae": float("nan")})

    assert read_json(file) == {"mae": 1.5} and [path.name for path in tmp_path.iterdir()] == ["figures.json"]


@pytest.mark.parametrize(
    ("folder", "umask", "expected"),
    [
        (0o755, 0o022, 0o644),
        (0o2775, 0o002, 0o664),
        (0o2775, 0o022, 0o644),
        (0o777, 0o077, 0o600),
        (0o700, 0o000, 0o600),
        (0o2710, 0o002, 0o600),
    ],
)
def test_a_file_is_for_those_who_may_list_its_folder(tmp_path: Path, folder: int, umask: int, expected: int):
    """Ours: two users share a folder through its group, and what lies in a private folder is private."""
    root = tmp_path / "artifacts"
    root.mkdir()
    root.chmod(folder)
    before = os.umask(umask)
    try:
        write_json(root / "whole.json", {})
        append_jsonl(root / "lines.jsonl", {})
        with Workspace(root).writing("test"), Database(root / "local.db").writing():
            pass
    finally:
        os.umask(before)

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in root.iterdir()}
    assert modes == dict.fromkeys(["whole.json", "lines.jsonl", ".lock", "local.db"], expected)


@pytest.mark.parametrize("link", ["file", "folder"])
def test_rows_that_are_a_link_into_the_seal_are_not_read(tmp_path: Path, link: str):
    """Ours: the eval server may open the seal and shows what diagnose holds, so it looks where a path leads."""
    workspace = Workspace(tmp_path / "artifacts", tmp_path / "sealed")
    row = Example(id="r1", text="a calm piece", target={"energy": 20.0}, source="import")
    card = DatasetStore(workspace).save_first(
        "mine", task="kotone", train=[row], diagnose=[], gate_size=1, gate_fingerprint="0" * 16, recipe={},
        synthetic=False, near_copy_threshold=0.8,
    )  # fmt: skip
    rows = workspace.dataset_dir("mine", card.fingerprint)
    write_jsonl(workspace.sealed_root / "mine" / "train.jsonl", [row])
    (rows / "train.jsonl").unlink()
    if link == "file":
        (rows / "train.jsonl").symlink_to(workspace.sealed_root / "mine" / "train.jsonl")
    else:
        write_json(workspace.sealed_root / "mine" / "card.json", card)
        rows.rename(tmp_path / "before")
        rows.symlink_to(workspace.sealed_root / "mine")

    with pytest.raises(ValueError, match=r"train\.jsonl leads into the sealed folder; put the train rows back"):
        DatasetStore(workspace).train("mine", card.fingerprint)


def test_what_is_written_in_place_is_never_written_through_a_link(tmp_path: Path):
    """Ours: the eval server may write into the seal, and a lock or ledger that is a link would have it do so."""
    sealed = tmp_path / "verdicts.jsonl"
    sealed.write_text("all that was spent\n")
    for name in (".lock", "ledger.jsonl"):
        (tmp_path / name).symlink_to(sealed)

    with pytest.raises(OSError, match="symbolic link"), Workspace(tmp_path).writing("test"):
        pass
    with pytest.raises(OSError, match="symbolic link"):
        append_jsonl(tmp_path / "ledger.jsonl", {})
    assert sealed.read_text() == "all that was spent\n"
