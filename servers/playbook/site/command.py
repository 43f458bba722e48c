"""`etude report --serve` and `etude report --site DIR`: the site on this machine, or as files."""

import socket
import sys
import threading
import webbrowser
from pathlib import Path

from servers.core.disk import write_text
from servers.playbook.site.addresses import HOME, beside, file_of, served
from servers.playbook.site.rendering import error_html
from servers.playbook.site.site import Site

HOST, PORT = "127.0.0.1", 8470
FAILED = 1
MARK = ".etude-site"  # in a folder that we wrote, so that it may be written again


def serve(site: Site, port: int, first: str, opens: bool) -> int:
    """Serve the site until Ctrl-C; the exit code. Its address goes to stdout once it can be asked.

    Args:
        site: The pages.
        port: To listen on; 0 for any that is free.
        first: Key of the page whose address is told.
        opens: Whether to show it in the person's browser.
    """
    # Here, because a web server takes a while to import, and writing one report does not need it.
    from servers.playbook.site.web import SiteServer

    try:
        listening = socket.create_server((HOST, port), backlog=128)  # requests wait in it until the server is up
    except OSError as error:
        why = "is in use" if error.errno == 98 else f"cannot be used ({error.strerror})"
        print(f"etude: port {port} of {HOST} {why}; give another with --port, 0 for any free one", file=sys.stderr)
        return FAILED
    address = f"http://{HOST}:{listening.getsockname()[1]}{served(first)}"

    def tell() -> None:
        print(address, flush=True)
        print("etude: serving the report on this machine only; Ctrl-C ends it", file=sys.stderr)
        if opens:
            # Beside, because a browser on the terminal does not come back before the person leaves it.
            threading.Thread(target=webbrowser.open, args=[address], daemon=True).start()

    try:
        SiteServer(site, tell).run(sockets=[listening])
    except KeyboardInterrupt:  # how a person ends it
        pass
    finally:
        listening.close()
    return 0


def write_site(site: Site, folder: Path) -> int:
    """Write every page as a file, and print where the first one is; the exit code.

    A page that cannot be made says why, there and on stderr; the others are written all the same.

    Raises:
        ValueError: the folder holds what is not ours, or cannot be written to.
    """
    try:
        _claim(site, folder)
        return _written(site, folder)
    except OSError as error:
        raise ValueError(
            f"cannot write the site into {str(folder)!r}: {(error.strerror or str(error)).lower()}"
        ) from error


def _claim(site: Site, folder: Path) -> None:
    """Take a folder for the site: a new one, an empty one, or one that holds a site already."""
    if folder.resolve().is_relative_to(site.root):
        raise ValueError(f"{str(folder)!r} is among the artifacts; give a folder of its own")
    if folder.exists() and not (folder / MARK).exists() and any(folder.iterdir()):
        raise ValueError(
            f"{str(folder)!r} holds what is no site of etude's, and nothing was written; give a new folder"
        )
    write_text(
        folder / MARK, "Written by etude report --site, which writes over the pages here when it is called again.\n"
    )


def _written(site: Site, folder: Path) -> int:
    code = 0
    for key in site.every_key():
        link = beside(key)
        try:
            html = site.page(key, link)
        except ValueError as error:
            print(f"etude: {key}: {error}", file=sys.stderr)
            html, code = error_html("This page cannot be made", str(error), link, is_served=False), FAILED
        write_text(folder / file_of(key), html)
    print(folder / file_of(HOME))
    return code
