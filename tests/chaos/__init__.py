"""`make chaos`: kill an agent, a server or a job at some moment, run the command again, and look for a difference.

    python -m tests.chaos --kills 10        # exit code 0 when every end is the one of an undisturbed run

`victims.py` finds processes, `blows.py` says whom a kill hits and when, `trials.py` runs the command until it succeeds,
`remains.py` reads what a run leaves behind without its times, `faults.py` looks for what no run may leave.
`windows.py` leaves nothing to luck: it dies before every single step on disk (`dying.py` says how) of every move of a
cycle (`moves.py`), of a job, an import and the agent (`stages.py`).
"""
