"""The program: undisturbed runs to compare with, then the kills, and a table."""

import argparse
import json
import shutil
import signal
import statistics
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from random import Random

from tests.chaos.blows import TARGETS, Pace, draw
from tests.chaos.remains import Remains, differences
from tests.chaos.trials import Commands, Stop, Trial, run_trial

COMMAND = ["cycle", "--cycles", "2", "--json"]
MAX_DRAWS = 5  # of a blow that came when the command was over


class Chaos:
    """One run of the program.

    Args:
        folder: Where everything lies; a failed trial's folder stays.
        seed: Draws the blows.
        at_once: Trials at a time.
        blows: Kills in a trial, as far as the command is not over before.
    """

    def __init__(self, folder: Path, seed: int, at_once: int, blows: int) -> None:
        self._folder, self._seed, self._at_once, self._blows = folder, seed, at_once, blows
        self._commands = Commands(COMMAND)

    def go(self, trials: int) -> list[Trial]:
        """All trials.

        Raises:
            ValueError: two undisturbed runs are not the same, so there is nothing to compare with.
            KeyboardInterrupt: every command that ran has been ended.
        """
        with ThreadPoolExecutor(self._at_once) as pool:
            try:
                in_peace = list(pool.map(self._in_peace, range(self._at_once)))
                pace, expected = _reference(in_peace, self._folder)
                _say(f"undisturbed: {pace.run_s:.1f} s, {pace.jobs} jobs of {pace.job_s:.1f} s")
                return list(pool.map(lambda number: self._trial(number, pace, expected), range(1, trials + 1)))
            except BaseException:
                self._commands.stop()
                raise

    def _in_peace(self, number: int) -> Trial:
        # As many at a time as there will be later, so that the machine is as busy.
        return run_trial(self._commands, -number, [], self._emptied(f"undisturbed-{number}"))

    def _trial(self, number: int, pace: Pace, expected: Remains) -> Trial:
        random = Random(f"{self._seed}-{number}")
        folder = self._folder / f"trial-{number}"
        for _ in range(MAX_DRAWS):
            # The first target in turn, so that each gets a third of the kills.
            targets = [TARGETS[number % len(TARGETS)], *random.choices(TARGETS, k=self._blows - 1)]
            blows = [draw(target, pace, random) for target in targets]
            trial = run_trial(self._commands, number, blows, self._emptied(folder.name), expected)
            if trial.hits or trial.faults:
                break
        else:
            trial.faults.append(f"{MAX_DRAWS} times the command was over before the blow")
        _say("; ".join([f"{number:>4}  {_told(trial)}, {trial.reruns} re-runs", *trial.faults]))
        if not trial.faults:
            shutil.rmtree(folder)
        return trial

    def _emptied(self, name: str) -> Path:
        folder = self._folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Kill, run again, compare.")
    parser.add_argument("--kills", type=int, default=100, metavar="N", help="how many trials (default: 100)")
    parser.add_argument("--blows", type=int, default=1, metavar="N", help="kills in each of them (default: 1)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="draws whom and when (default: 0)")
    parser.add_argument("--at-once", type=int, default=2, metavar="N", help="trials at a time (default: 2)")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="etude-chaos-"))
    try:
        trials = Chaos(folder, asked.seed, asked.at_once, asked.blows).go(asked.kills)
    except (KeyboardInterrupt, Stop):
        print("interrupted; all that was started has been ended", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)
        return 130
    except ValueError as error:
        print(f"{error}; look into {folder}", file=sys.stderr)
        return 1
    failed = [trial for trial in trials if trial.faults]
    print("\n".join(_table(trials)))
    for trial in failed:
        print(f"trial {trial.number}, {_told(trial)}, in {folder / f'trial-{trial.number}'}:")
        print("\n".join(f"  {fault}" for fault in trial.faults))
    print(f"seed {asked.seed}: {len(trials) - len(failed)} of {len(trials)} times the same end")
    if not failed:
        shutil.rmtree(folder)
    return 1 if failed else 0


def _reference(in_peace: Sequence[Trial], folder: Path) -> tuple[Pace, Remains]:
    """How long things take in peace, and what they leave."""
    first, *others = in_peace
    wrong = [fault for trial in in_peace for fault in trial.faults]
    wrong += [line for other in others for line in differences(first.remains, other.remains)]
    if wrong:
        raise ValueError(f"undisturbed runs are not in order or not the same: {'; '.join(wrong[:10])}")
    lives = [_life_s(job) for job in folder.glob("undisturbed-*/artifacts/jobs/*")]
    run_s = statistics.mean(trial.seconds for trial in in_peace)
    return Pace(run_s, len(lives) // len(in_peace), statistics.mean(lives)), first.remains


def _life_s(job: Path) -> float:
    """From the start of a job's process to its result."""
    began = datetime.fromisoformat(json.loads((job / "status.json").read_text(encoding="utf-8"))["started_at"])
    return (job / "result.json").stat().st_mtime - began.timestamp()


def _table(trials: Sequence[Trial]) -> list[str]:
    """Kills by target, with what they cost."""
    rows = ["hit           kills  re-runs  drafts left  outlived  failures"]
    for name in sorted({name for trial in trials for name in trial.hits}):
        hit = [trial for trial in trials if name in trial.hits]
        reruns, drafts = sum(trial.reruns for trial in hit), sum(len(trial.drafts) for trial in hit)
        orphan_s = max(trial.orphan_s for trial in hit)
        failures = sum(bool(trial.faults) for trial in hit)
        rows.append(f"{name:<12}{len(hit):>7}{reruns:>9}{drafts:>13}{orphan_s:>8.1f} s{failures:>10}")
    kinds = sorted({draft.rpartition("/")[2][:24] for trial in trials for draft in trial.drafts})
    return [*rows, *([f"drafts: {', '.join(kinds[:12])}"] if kinds else [])]


def _told(trial: Trial) -> str:
    """Who was to be hit, and who was."""
    return f"{', then '.join(map(str, trial.blows))}: {' and '.join(trial.hits) or 'nobody'} killed"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
