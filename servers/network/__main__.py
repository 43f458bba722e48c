"""`etude serve NAME`: one server or all of them, over stdio or over HTTP."""

import signal
import sys
from collections.abc import Sequence

from servers.core.services import Services
from servers.core.settings import load_settings
from servers.network.arguments import parse
from servers.network.rooms import ALL, build, names
from servers.room import run_stdio
from servers.words_parser import USAGE


def run(words: Sequence[str]) -> int:
    """Serve what the words name until the client leaves or a signal says to stop; the exit code."""
    asked = parse(words)
    try:
        settings = load_settings(asked.config, asked.artifacts, asked.task)
        if asked.http is not None:
            # Here, not above: a web server takes time to load that a client over stdio would wait for.
            from servers.network.over_http import over_http

            return over_http(asked, settings)
        workspace, task = settings.open()
        services = Services.here(settings)
        services.refuse_missing()
    except ValueError as error:
        print(f"etude: {error}", file=sys.stderr)
        return USAGE
    if asked.name == ALL:
        from servers.network.together import Together

        run_stdio(lambda: Together([build(name, workspace, task, services) for name in names(ALL, services)]))
    else:
        run_stdio(lambda: build(asked.name, workspace, task, services).server)
    return 0


if __name__ == "__main__":
    # Over stdio Ctrl-C ends the process as SIGTERM does: Python would wait for the thread that reads stdin, and every
    # tool is made to be killed. Over HTTP `serving` takes both signals itself.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(run(sys.argv[1:]))
