"""Numbers as a reader meets them, and a cycle's verdict in one sentence."""

from servers.core.phrases import counted
from servers.playbook.report.view import ReportView
from servers.playbook.report.view_base import Estimate
from servers.playbook.report.view_results import GateShown

UNKNOWN = "\N{EN DASH}"
HEADINGS = {
    "promote": "Promoted",
    "hold": "Held",
    "undecided": "Undecided",
    "stopped": "Stopped",
    None: "Still open",
}

CHECKS = {  # what each check of the gate demands
    "json_valid_rate": "its answers are strict JSON",
    "json_valid_rate_sealed": "its answers to the sealed rows are strict JSON",
    "served_by": "the model under test gave the answers",
    "active": "it answers other than its base",
    "changed": "it answers other than the champion",
    "no_leakage": "it saw no sealed row in training",
    "p95_latency_ms": "it answers in time",
    "prompt_arm": "a prompt alone was tried beside it",
    "vector_mae_better_than_champion": "its error is below the champion's",
    "focus_dimensions_better_than_champion": "its error where the cycle aimed is below the champion's",
    "no_dimension_much_worse": "no dimension got much worse",
    "no_dimension_shown_worse": "no dimension is shown to be worse",
    "vector_mae_better_than_constant": "its error is below the constant's",
    "mse_norm_better_than_constant": "its squared error is below the constant's",
    "vector_mae_not_worse_than_prompt": "its error is not above the prompt's",
    "mse_norm_not_worse_than_prompt": "its squared error is not above the prompt's",
}


def check_words(name: str) -> str:
    """What a check demands; a name that is not known stands for itself."""
    said = CHECKS.get(name, name.replace("_", " "))
    return said[:1].upper() + said[1:]


def number(value: float | None, digits: int = 2) -> str:
    """A number with a true minus sign; a dash where nothing was measured."""
    if value is None:
        return UNKNOWN
    # Adding 0.0 turns a negative zero into zero.
    return f"{round(value, digits) + 0.0:,.{digits}f}".replace("-", "\N{MINUS SIGN}")


def figure(value: float | None) -> str:
    """A metric of any size, to four digits."""
    return UNKNOWN if value is None else f"{value:,.4g}".replace("-", "\N{MINUS SIGN}")


def signed(value: float | None, digits: int = 2) -> str:
    """A difference, its sign always shown."""
    if value is None:
        return UNKNOWN
    return number(value, digits) if round(value, digits) <= 0 else "+" + number(value, digits)


def percent(share: float | None) -> str:
    """A share as a percentage, to three digits."""
    return UNKNOWN if share is None else f"{100 * share:.3g}%"


def interval(ci: tuple[float, float] | None, digits: int = 2) -> str:
    """An interval of differences."""
    return UNKNOWN if ci is None else f"{signed(ci[0], digits)} to {signed(ci[1], digits)}"


def estimate(found: Estimate | None, digits: int = 2) -> str:
    """A mean with its 95 % interval where there is one."""
    if found is None:
        return UNKNOWN
    shown, reach = number(found.value, digits), found.reach
    return shown if reach is None else f"{shown} ({number(reach[0], digits)} to {number(reach[1], digits)})"


def p_value(p: float) -> str:
    """A probability to three decimals; a smaller one is never shown as nothing."""
    return number(p, 3) if p >= 0.001 else "< 0.001"


def seconds(found: float) -> str:
    """A stretch of time, as coarse as it is long."""
    if found < 60:
        return f"{number(found, 1)} s"
    minutes = round(found / 60)
    return f"{minutes} min" if minutes < 120 else f"{number(found / 3600, 1)} h"


def money(usd: float) -> str:
    """An amount; what costs nothing says so, and a tiny one is not nothing."""
    if usd == 0:
        return "nothing"
    return f"{number(usd, 2)} USD" if usd >= 0.01 else f"{usd:.2g} USD"


def headline(view: ReportView) -> str:
    """The verdict in one sentence, with its numbers where they may be shown."""
    this, gate = view.this, view.gate
    if this.verdict is None:
        return "No verdict has been asked in this cycle yet."
    if this.verdict == "stopped" or gate is None:
        return f"No verdict was spent: {this.reason.rstrip('.') or 'the cycle ended before the gate'}."
    if this.verdict == "promote":
        return f"The candidate takes over: {_gain(gate, view.digits)}."
    kept = "The constant stays in service" if gate.champion == "constant" else "The champion stays in service"
    return f"{kept}: {gate.reason.rstrip('.')}."


def _gain(gate: GateShown, digits: int) -> str:
    rows = counted(gate.n, "sealed row")
    other = "the constant" if gate.champion == "constant" else "the champion"
    if gate.difference is None:
        return f"it is shown to be better than {other} on {rows}"
    gain = f"its error is {number(-gate.difference, digits)} points lower than {other}'s on {rows}"
    if gate.ci is None:
        return gain
    low, high = sorted(-end for end in gate.ci)
    return f"{gain} ({percent(1 - 2 * gate.level)} interval {number(low, digits)} to {number(high, digits)})"
