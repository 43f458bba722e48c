"""Sentences for a request: six registers, each a way of saying the same phrases."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from servers.core.demo_world.draws import Draws


@dataclass(frozen=True)
class Parts:
    """What a request says, before it is a sentence. Any list may be empty, not all of them."""

    adjectives: Sequence[str]
    features: Sequence[str]
    """Noun phrases that fit after "with"."""
    clauses: Sequence[str]
    """Verb phrases that fit after "It"."""
    scene: str
    """A noun phrase that fits after "for"; empty where the requester names none."""
    noun: str


def with_article(words: str) -> str:
    """Put "a" or "an" in front. Goes by the first letter: the bank holds no word for which that is wrong."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def listed(items: Sequence[str]) -> str:
    """Join one or more items as English does: "x", "x and y", "x, y and z"."""
    return f"{', '.join(items[:-1])} and {items[-1]}" if items[1:] else items[0]


def _piece(parts: Parts) -> str:
    return with_article(f"{', '.join(parts.adjectives)} {parts.noun}".lstrip())


def _with(parts: Parts) -> str:
    return f" with {listed(parts.features)}" if parts.features else ""


def _courteous(parts: Parts, draws: Draws) -> str:
    questions = ("Could you write", "Would you record", "May I ask for")
    opening = draws.pick((*questions, "I would like", "We are hoping for", "Please make us"))
    end = "?" if opening in questions else "."
    that = f" that {listed(parts.clauses)}" if parts.clauses else ""
    features = ("," if parts.clauses and parts.features else "") + _with(parts)
    request = f"{opening} {_piece(parts)}{that}{features}{end}"
    if not parts.scene:
        return request
    purpose = draws.pick(("This is for", "It is meant for", "We need music for"))
    return draws.pick((f"{request} {purpose} {parts.scene}.", f"{purpose} {parts.scene}. {request}"))


def _telegram(parts: Parts, draws: Draws) -> str:
    scene = [parts.scene] if parts.scene else []
    items = draws.shuffled([*parts.adjectives, *parts.features, *parts.clauses, *scene])
    prefix = draws.pick(("", "wanted: ", "music please: ", f"one {parts.noun}: ", "keywords: "))
    return prefix + draws.pick(("; ", ", ", " / ")).join(items)


def _chat(parts: Parts, draws: Draws) -> str:
    hello = draws.pick(("hi! ", "yo, ", "quick one: ", "so, ", "ok team, "))
    questions = ("can you do", "any chance of")
    ask = draws.pick((*questions, "we could really use", "i am after"))
    kind = f", the kind that {listed(parts.clauses)}" if parts.clauses else ""
    purpose = f" it is for {parts.scene}." if parts.scene else ""
    goodbye = draws.pick(("", " thanks!", " :)", " ok?"))
    return f"{hello}{ask} {_piece(parts)}{_with(parts)}{kind}{'?' if ask in questions else '.'}{purpose}{goodbye}"


def _brief(parts: Parts, draws: Draws) -> str:
    scene = f"{draws.pick(('Scene', 'Use', 'Setting'))}: {parts.scene}. " if parts.scene else ""
    behaviour = f" It {listed(parts.clauses)}." if parts.clauses else ""
    return f"{scene}{draws.pick(('Wanted', 'Music', 'Brief'))}: {_piece(parts)}{_with(parts)}.{behaviour}"


def _journal(parts: Parts, draws: Draws) -> str:
    openers = ("I have been turning this over since Monday.", "Woke up with an idea.", "Third attempt at saying this.")
    hears = ("What I keep hearing is", "In my head there is", "I am looking for")
    clauses = f" It {listed(parts.clauses)}." if parts.clauses else ""
    belongs = draws.pick(("It belongs to", "I would play it for", "It goes with"))
    scene = f" {belongs} {parts.scene}." if parts.scene else ""
    return f"{draws.pick(openers)} {draws.pick(hears)} {_piece(parts)}{_with(parts)}.{clauses}{scene}"


def _vision(parts: Parts, draws: Draws) -> str:
    see = draws.pick(("Picture", "Think of", "Imagine"))
    lead = f"{see} {parts.scene} and the music that belongs there" if parts.scene else f"{see} the right music"
    said = [listed(parts.adjectives)] if parts.adjectives else []
    if parts.features:
        said.append(f"{'' if said else 'something '}with {listed(parts.features)}")
    if parts.clauses:
        said.append(f"{with_article(parts.noun)} that {listed(parts.clauses)}")
    return f"{lead}: {', '.join(said)}."


REGISTERS: dict[str, Callable[[Parts, Draws], str]] = {
    "courteous": _courteous,
    "telegram": _telegram,
    "chat": _chat,
    "brief": _brief,
    "journal": _journal,
    "vision": _vision,
}
"""Ways of asking, by name."""
