"""The offline brain: it does what `get_cycle` says comes next, as it stands, until the cycle is closed. Only the W&B
server is asked in its own way: by the schema that it has.

The policy behind that list is the playbook server's (`servers/playbook/steps.py`), the same that a person by hand is
shown: aim where the champion is worst against the constant among the dimensions that carry signal, keep the recipe,
let the gate decide. The same state gives the same calls, and no account is needed.
"""

from collections.abc import Sequence
from typing import Any

from agent.desk import Desk, StepFailed
from agent.replies import UNDER_WAY, WRITING, CycleState, Job, NextStep, TaskReply
from agent.spent import Spent
from agent.step_line import StepLine
from agent.telling import step_of, told
from agent.wandb_reading import ReadingBack
from agent.wandb_reads import RECORD, Place, handed_over

POLL_S = 10  # of get_job's own wait; it answers at once when the job ends


class OfflineBrain:
    """Follows the list."""

    name = "offline"
    about = "embedded policy, no language model"

    async def finish(self, desk: Desk, task: TaskReply, state: CycleState) -> None:
        """Follow the list to its end.

        Raises:
            StepFailed: a tool refused, or a step left the list as it was.
            ServerProblem: a server is gone.
        """
        while not state.closed:
            before = state.next_steps
            if not before:
                raise StepFailed(f"{state.cycle} is open, but get_cycle names no next step")
            with desk.step(step_of(before[0].tool)) as line:
                await _done(desk, task, state.cycle, before, line)
            state = await desk.ask("get_cycle", CycleState, cycle=state.cycle)
            if state.next_steps == before:
                raise StepFailed(f"{state.cycle} does not move on: {before[0].tool} is next again after it was done")

    def spent(self, cycle: str) -> Spent | None:
        """Nothing."""
        return None


async def _done(desk: Desk, task: TaskReply, cycle: str, steps: Sequence[NextStep], line: StepLine) -> None:
    """Do the steps in their order."""
    words: list[str] = []
    if any(step.tool == RECORD for step in steps):
        steps = [NextStep(tool=RECORD, arguments=await _read_back(desk, task, cycle, steps), why="")]
    for step in steps:
        if step.tool == "get_job":
            result = await _ended(desk, step.arguments, line)
        elif step.tool in ("sample_model", "augment_dataset"):
            result = await _waited(desk, step, line)
        else:
            result = await desk.do(step.tool, step.arguments)
        words.append(told(step.tool, result))
        line.outcome = ", ".join(filter(None, words))


async def _read_back(desk: Desk, task: TaskReply, cycle: str, steps: Sequence[NextStep]) -> dict[str, Any]:
    """Ask the W&B server as it wants to be asked, and make of its words what record_context takes."""
    try:
        place = Place.named_in(step.arguments for step in steps)
    except ValueError as error:
        raise StepFailed(f"step 'read back': {error}") from error
    return handed_over(desk.sessions, cycle, await ReadingBack(desk, place, cycle, task.names).calls())


async def _waited(desk: Desk, step: NextStep, line: StepLine) -> dict[str, Any]:
    """Call a tool that answers before its work is done, and waits a while each time, until it is."""
    while True:
        result = await desk.do(step.tool, step.arguments)
        if result.get("state") not in (*UNDER_WAY, WRITING):
            return result
        line.saying(str(result.get("message") or result["state"]))


async def _ended(desk: Desk, arguments: dict[str, Any], line: StepLine) -> dict[str, Any]:
    """Wait for a job, and give what get_job says of its end."""
    while True:
        result = await desk.do("get_job", {**arguments, "wait_s": POLL_S})
        job = desk.understood("get_job", Job, result)
        if job.state not in UNDER_WAY:
            return result
        line.saying(f"{job.job_id} is {job.state}" + (f": {job.message}" if job.message else ""))
