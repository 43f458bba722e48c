"""What becomes of the language model's calls: checked here, made through the desk, and told back as data.

Everything that is wrong with a call comes back as a message it can act on; the servers check all of it once more. What
text could talk a model into is not left to it: it works on the open cycle alone, carries out only what the servers have
planned for it, and neither retypes W&B's replies nor invents a reason to stop.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from agent.desk import Desk, StepFailed
from agent.mistral.account import Account
from agent.mistral.data import typed
from agent.mistral.offer import FILLED_IN, GET_CYCLE, READING_BACK, SEARCH, Offer, Offered
from agent.mistral.results import STRING_CHARS, Payload, Shelf, refused, succeeded
from agent.mistral.service import ToolCall
from agent.replies import UNDER_WAY, CycleState
from agent.sessions import Reply
from agent.telling import step_of, told
from agent.wandb_reading import ReadingBack
from agent.wandb_reads import RECORD, Place, handed_over
from agent.wandb_words import Trouble

MAX_CALLS = 8  # of one answer; the rest is not made
MAX_KEPT_REPLIES = 32  # of the W&B tools; record_context takes twice as many
SAME_AGAIN, GOING_IN_CIRCLES = 3, 6  # answers in which the same call brought the same, while the cycle stood still
PLANNED = ("augment_dataset", "start_retrain")  # tools that carry out a plan
JUDGED = ("gate_candidate", "promote_model")  # tools that spend a verdict, or act on it
MAX_DEPTH = 50  # of arguments; the wire takes no more than some hundreds
JOB_WAIT_S = 10


class Toolbox:
    """The calls of one cycle.

    Args:
        desk: Where they are made.
        offer: What there is to call.
        shelf: Where long results are put aside.
        account: Ends a wait that takes too long.
        state: Where the cycle stands.
        dimensions: Of the task.
    """

    def __init__(
        self,
        desk: Desk,
        offer: Offer,
        shelf: Shelf,
        account: Account,
        state: CycleState,
        dimensions: Sequence[str] = (),
    ) -> None:
        self._dimensions = dimensions
        self._desk, self._offer, self._shelf, self._account = desk, offer, shelf, account
        self.state = state
        """Where the cycle stood when it was last looked at."""
        self._replies: dict[str, dict[str, Any]] = {}
        self._searched: set[str] = set()
        self._seen: Counter[str] = Counter()

    @property
    def offered(self) -> list[Offered]:
        """The tools that can be needed now."""
        return self._offer.now([step.tool for step in self.state.next_steps])

    @property
    def due(self) -> str | None:
        """The next step, by the name that the model knows it under."""
        return next((self.name_of(step.tool) for step in self.state.next_steps), None)

    def name_of(self, tool: str) -> str:
        """What the model calls a tool."""
        return self._offer.name_of(tool)

    async def look(self) -> dict[str, Any]:
        """Where the cycle stands now, as the model is shown it.

        Raises:
            StepFailed: the server does not say.
            ServerProblem: it is gone.
        """
        said = await self._desk.do(GET_CYCLE, {"cycle": self.state.cycle})
        now = self._desk.understood(GET_CYCLE, CycleState, said)
        if now.budget is not None:
            self._account.note_left(now.budget.left)
        # Thinking alone changes what is left, and moves nothing.
        if now.model_copy(update={"budget": self.state.budget}) != self.state:
            self._seen.clear()
        self.state = now
        return self._shown(said)

    async def carry_out(self, calls: Sequence[ToolCall]) -> list[Payload]:
        """Make the calls of one answer, in order.

        Returns:
            What there is to tell of each.

        Raises:
            StepFailed: the model goes in circles, or time is over.
            ServerProblem: a server is gone.
        """
        offered = self.offered
        made = [await self._one(call, offered) for call in calls[:MAX_CALLS]]
        self._refuse_circles(calls[:MAX_CALLS], made)
        return made + [refused(f"not made: at most {MAX_CALLS} calls in one answer")] * len(calls[MAX_CALLS:])

    async def _one(self, call: ToolCall, offered: Sequence[Offered]) -> Payload:
        found = self._offer.find(call.name, offered)
        arguments = _arguments(call.arguments)
        if isinstance(found, str):
            return refused(found)
        if isinstance(arguments, str):
            return refused(f"{call.name}: {arguments}")
        if why := found.problem_with(arguments) or self._out_of_bounds(found, arguments):
            return refused(why)
        return await self._made(found, arguments)

    def _out_of_bounds(self, found: Offered, arguments: Mapping[str, Any]) -> str | None:
        """Why a call is none of this cycle's business."""
        if not found.changes_something:
            return None
        cycle = self.state.cycle
        if arguments.get("cycle", cycle) != cycle:
            return f"this run works on {cycle}; {found.name} with another cycle is not for it"
        if found.tool.name in JUDGED:
            named = [step.arguments.get("candidate") for step in self.state.next_steps if step.tool == found.tool.name]
            if arguments.get("candidate") not in named:
                return f"{found.name} is for the candidate that the next steps name, which is {named or 'none'} now"
        if found.tool.name in PLANNED:
            plans = [step.arguments.get("plan_id") for step in self.state.next_steps if step.tool == found.tool.name]
            if arguments.get("plan_id") not in plans:
                due = ", ".join(step.tool for step in self.state.next_steps) or "nothing"
                return (
                    f"{found.name} carries out what the next steps name, which is {plans or 'no plan'} now; due: {due}"
                )
        return None

    async def _made(self, found: Offered, arguments: dict[str, Any]) -> Payload:
        tool = found.tool.name
        if tool in READING_BACK:
            return await self._read(tool, arguments)
        with self._desk.step(step_of(tool)) as line:
            reply = await self._called(tool, await self._filled_in(tool, arguments))
            line.outcome = told(tool, reply.structured or {}) if not reply.is_error else "refused"
        if tool == RECORD:
            self._replies.clear()  # whether they were taken or refused: what is wrong has to be read anew
        if reply.is_error:
            return refused(reply.text)
        if tool == SEARCH:
            self._searched.add(_key(tool, arguments))
        result: Any = reply.structured if reply.structured is not None else reply.text
        return succeeded(self._shelf, tool, arguments, self._shown(result) if tool == GET_CYCLE else result)

    async def _filled_in(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """The arguments with those that are not the model's to give."""
        if tool == RECORD:
            return handed_over(self._desk.sessions, self.state.cycle, await self._replies_wanted())
        if tool == "get_job":
            return {**arguments, "wait_s": JOB_WAIT_S}
        filled_in = FILLED_IN.get(tool, ())
        suggested = [step.arguments for step in self.state.next_steps if step.tool == tool]
        return {**arguments, **{k: v for step in suggested for k, v in step.items() if k in filled_in}}

    async def _replies_wanted(self) -> list[dict[str, Any]]:
        """The replies that the model asked for, and those that are still missing.

        Which forms a server takes, when it has everything and how its rows are paged is no matter for thought.
        """
        kept = list(self._replies.values())
        try:
            place = Place.named_in(step.arguments for step in self.state.next_steps)
        except ValueError:  # they are not due, and record_context says so
            return kept
        return await ReadingBack(self._desk, place, self.state.cycle, self._dimensions, kept).calls()

    async def _called(self, tool: str, arguments: dict[str, Any]) -> Reply:
        """Make a call; wait for the end of a job, which needs no thinking."""
        reply = await self._desk.call(tool, arguments)
        while tool == "get_job" and _is_under_way(reply):
            self._account.refuse_longer()
            reply = await self._desk.call(tool, arguments)
        return reply

    async def _read(self, tool: str, arguments: dict[str, Any]) -> Payload:
        """Ask W&B, and keep the reply for record_context, unless it is none."""
        with self._desk.step(step_of(tool)) as line:
            answer = await self._desk.read(tool, arguments)
            line.outcome = "refused" if isinstance(answer, Trouble) else told(tool, answer.document)
        if isinstance(answer, Trouble):
            return refused(answer.words)
        key = _key(tool, arguments)
        if key not in self._replies and len(self._replies) >= MAX_KEPT_REPLIES:
            return refused(f"{MAX_KEPT_REPLIES} replies are kept already; call record_context")
        self._replies[key] = answer.call
        kept = f"{len(self._replies)} replies for {self.name_of(RECORD)}"
        return succeeded(self._shelf, tool, arguments, answer.document, kept=kept)

    def _shown(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """A state without the reads that were made: the server cannot know of them."""
        made = self._replies.keys() | self._searched
        steps = [step for step in state.get("next_steps", []) if _key(step["tool"], step["arguments"]) not in made]
        moving = {name: value for name, value in state.items() if name != "budget"}  # the budget is the account's part
        return {**typed(moving, STRING_CHARS), "next_steps": typed(steps, STRING_CHARS)}

    def _refuse_circles(self, calls: Sequence[ToolCall], payloads: Sequence[Payload]) -> None:
        """Say so where a call brings nothing new, and end it where it does so for ever.

        Raises:
            StepFailed: it does.
        """
        told = {json.dumps([c.name, c.arguments, p]): (c.name, p) for c, p in zip(calls, payloads, strict=True)}
        self._seen.update(told.keys())
        for key, (name, payload) in told.items():
            if (times := self._seen[key]) >= GOING_IN_CIRCLES:
                raise StepFailed(
                    f"brain mistral goes in circles: {name[:80]!r} brought the same in {times} answers, and "
                    "nothing moved; what is done stays done: the same command tries again, --brain offline goes on "
                    "without the model"
                )
            if times >= SAME_AGAIN:
                due = ", ".join(self.name_of(step.tool) for step in self.state.next_steps) or "nothing"
                payload["note"] = f"the same call brought the same {times} times; do something else. Due: {due}"


def _key(tool: str, arguments: Mapping[str, Any]) -> str:
    return json.dumps([tool, arguments], sort_keys=True)


def _arguments(text: str) -> dict[str, Any] | str:
    """The arguments in a call, or why they are none."""
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        return f"the arguments are not JSON ({error}); give one JSON object"
    if not isinstance(value, dict):
        return f"the arguments are a {type(value).__name__}; give one JSON object"
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):  # half a character, NaN, or too deep: it would break the connection
        return "the arguments hold something that JSON over the wire cannot; give plain texts and numbers"
    return value if _depth(value) <= MAX_DEPTH else f"the arguments are nested more than {MAX_DEPTH} deep"


def _depth(value: Any) -> int:
    if isinstance(value, (dict, list)):
        return 1 + max(map(_depth, value.values() if isinstance(value, dict) else value), default=0)
    return 0


def _is_under_way(reply: Reply) -> bool:
    return not reply.is_error and (reply.structured or {}).get("state") in UNDER_WAY
