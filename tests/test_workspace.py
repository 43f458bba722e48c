"""The artifacts folder: names that may be paths, one writer at a time, files that appear whole."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from servers.core.disk import append_jsonl, read_json, read_jsonl, write_json
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


def test_a_value_that_json_cannot_hold_leaves_the_file_as_it_was(tmp_path: Path):
    """Ours: files appear whole or not at all, and hold no NaN."""
    file = tmp_path / "figures.json"
    write_json(file, {"mae": 1.5})

    with pytest.raises(ValueError):
        write_json(file, {"mae": float("nan")})

    assert read_json(file) == {"mae": 1.5} and [path.name for path in tmp_path.iterdir()] == ["figures.json"]
