"""The careless brain: a careful one that errs now and then, in every way in which models err, and recovers."""

import json
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from tests.doubles.careful import Careful
from tests.doubles.conversation import Call, Conversation, Said, bare

HOME = {"gate_candidate": "eval", "augment_dataset": "augment", "promote_model": "retrain", "start_retrain": "retrain"}
NOWHERE = "000000000000"  # ends an id that no server gave
TOO_MANY = 11  # calls in one answer


class Careless(Careful):
    """Errs in about `rate` of its answers, never twice running; each way to err comes up before one comes up again.

    Args:
        seed: Decides where it errs and how, together with the number of answers so far.
        rate: Share of answers that are mistakes, where the answer before was none.
        together: As for the careful brain.
    """

    def __init__(self, seed: int = 0, rate: float = 0.4, together: bool = True) -> None:
        super().__init__(together)
        self.made: list[str] = []
        """The mistakes so far, by name."""
        self._seed, self._rate, self._answers = seed, rate, 0
        self._order = Random(f"{seed}").sample(MISTAKES, len(MISTAKES))
        self._erred = False
        self._again: list[Said] = []

    def answer(self, body: Mapping[str, Any]) -> Said:
        seen = Conversation(body)
        proper = self.next(seen)
        self._answers += 1
        random = Random(f"{self._seed}:{self._answers}")
        if self._again and proper.calls:
            return self._again.pop()
        if self._erred or not proper.calls or random.random() >= self._rate:
            self._erred = False
            return proper
        mistake = self._order[len(self.made) % len(MISTAKES)]
        self.made.append(mistake.__name__)
        self._erred = True
        said = mistake(seen, proper, random)
        if mistake is over_and_over:
            self._again = [said, said]
        return said


def malformed_arguments(seen: Conversation, proper: Said, random: Random) -> Said:
    """Arguments that are no JSON, or no object."""
    function, arguments = proper.calls[0]
    whole = json.dumps(arguments)
    broken = [whole[:-1], whole.replace('"', "'"), whole[:-1] + ",}", f"```json\n{whole}\n```", "", "[]", '"now"']
    return Said("I go on.", [(function, random.choice(broken))])


def wrong_type(seen: Conversation, proper: Said, random: Random) -> Said:
    """A number where a text belongs, a text where anything else does."""
    function, arguments = _first(proper)
    key = random.choice(sorted(arguments) or ["cycle"])
    wrong: Any = 7 if isinstance(arguments.get(key, ""), str) else "as before"
    return Said("I go on.", [(function, {**arguments, key: wrong})])


def missing_argument(seen: Conversation, proper: Said, random: Random) -> Said:
    """No argument at all, where one is required."""
    needy = [function for function, schema in seen.offered.items() if schema.get("required")]
    return Said("I go on.", [(random.choice(needy) if needy else proper.calls[0][0], {})])


def extra_argument(seen: Conversation, proper: Said, random: Random) -> Said:
    """An argument that the schema does not know."""
    function, arguments = _first(proper)
    return Said("I go on.", [(function, {**arguments, "thoroughly": True})])


def unknown_tool(seen: Conversation, proper: Said, random: Random) -> Said:
    """A tool that there is not."""
    return Said("I improve the model.", [("eval__improve_model", {"cycle": seen.cycle})])


def tool_without_prefix(seen: Conversation, proper: Said, random: Random) -> Said:
    """The bare name of a tool, as next_steps gives it."""
    function, arguments = proper.calls[0]
    return Said("I go on.", [(bare(function), arguments)])


def out_of_order(seen: Conversation, proper: Said, random: Random) -> Said:
    """A step whose time has not come, with an id that no server gave."""
    candidate = random.choice([f"student-{NOWHERE}", "rule"])
    call = random.choice(
        [
            ("gate_candidate", {"cycle": seen.cycle, "candidate": f"student-{NOWHERE}"}),
            ("promote_model", {"cycle": seen.cycle, "candidate": candidate}),
            ("augment_dataset", {"plan_id": f"augment-{NOWHERE}"}),
            ("start_retrain", {"plan_id": f"retrain-{NOWHERE}"}),
        ]
    )
    return Said("I take a short cut.", [(seen.function(call[0]) or f"{HOME[call[0]]}__{call[0]}", call[1])])


def invented_figure(seen: Conversation, proper: Said, random: Random) -> Said:
    """A figure in the playbook that rests on nothing, on the wrong value, or on what is sealed."""
    evaluation = seen.result_of("evaluate_model").get("evaluation_id", f"eval-{NOWHERE}")
    wrong = _claim(f"evaluation:{evaluation}", "vector_mae", 0.125)
    sealed = _claim(f"gate:{seen.cycle}", "difference", -99.5)
    text, claims = random.choice(
        [("The error fell by 12 points.", []), ("It is {claim:it} now.", [wrong]), ("It is {claim:it} less.", [sealed])]
    )
    lesson = {"title": "What helped", "text": text, "claims": claims}
    arguments = {"cycle": seen.cycle, "remedies": [], "lessons": [lesson]}
    return Said("I write down what I learned.", [(seen.function("write_playbook") or _PLAYBOOK, arguments)])


def prose(seen: Conversation, proper: Said, random: Random) -> Said:
    """Words in place of a call."""
    return Said(f"I would now call {proper.calls[0][0]}. Shall I?")


def over_and_over(seen: Conversation, proper: Said, random: Random) -> Said:
    """The same call three times running, whatever comes back."""
    return Said("I try this.", proper.calls[:1])


def too_many_calls(seen: Conversation, proper: Said, random: Random) -> Said:
    """More calls in one answer than anybody needs."""
    return Said("I look very closely.", [(seen.function("get_cycle") or "get_cycle", {})] * TOO_MANY)


MISTAKES: list[Callable[[Conversation, Said, Random], Said]] = [
    malformed_arguments,
    wrong_type,
    missing_argument,
    extra_argument,
    unknown_tool,
    tool_without_prefix,
    out_of_order,
    invented_figure,
    prose,
    over_and_over,
    too_many_calls,
]
_PLAYBOOK = "playbook__write_playbook"


def _first(proper: Said) -> tuple[str, dict[str, Any]]:
    call: Call = proper.calls[0]
    assert isinstance(call[1], dict)  # a careful brain's arguments are
    return call[0], call[1]


def _claim(source: str, metric: str, value: float) -> dict[str, Any]:
    return {"id": "it", "source": source, "metric": metric, "value": value, "unit": "points"}
