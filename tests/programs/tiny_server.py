"""A small program that answers like a notebook server, and tells its environment: /api, /env, /exit below its base URL.

Knows the standard library only, starts in some 50 ms. `--dies` ends it before it answers, `--mute` answers nothing;
`--mood=FILE` does what the file says, "dies" or "mute", for as long as there is such a file.
"""

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

VERSION = os.environ.get("TINY_SERVER_VERSION", "6.1.1")


class Handler(BaseHTTPRequestHandler):
    """Answers GET."""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path.rsplit("/", 1)[-1]
        if path == "exit":
            os._exit(0)
        body = {"version": "tiny"}
        if path == "env":
            body = {
                "env": dict(os.environ),
                "uid": os.getuid(),
                "gid": os.getgid(),
                "groups": os.getgroups(),
                "cwd": os.getcwd(),
                "pid": os.getpid(),
                "umask": _umask(),
                "fds": sorted(os.listdir("/proc/self/fd")),
                "argv": sys.argv,
            }
        payload = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("X-JupyterHub-Version", VERSION)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *words: object) -> None:
        """Keep quiet."""


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _mood() -> str:
    for word in sys.argv:
        if word.startswith("--mood="):
            try:
                with open(word.removeprefix("--mood=")) as file:
                    return file.read()
            except FileNotFoundError:
                pass
    return ""


def main() -> None:
    """Serve until told to end."""
    if "--dies" in sys.argv or _mood() == "dies":
        print("it dies", flush=True)
        sys.exit(7)
    if "--mute" in sys.argv:
        time.sleep(3600)
    while _mood() == "mute":
        time.sleep(0.1)
    address = urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
    ThreadingHTTPServer((address.hostname or "127.0.0.1", address.port or 0), Handler).serve_forever()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(0)
