"""Runs between the permit and the notebook: claims the launch in its own name, drops rights, then becomes the notebook.

Started by local.py as a script, reads one JSON document from its standard input. Knows the standard library only: it
runs as root for a moment, before every notebook. A launch that is no longer wanted is refused by the queue and starts
nothing.

Standard error is a pipe to the Hub until the notebook is executed: one line with the reason, or nothing.
"""

import http.client
import json
import os
import signal
import sys
import time
from urllib.parse import urlsplit

CLAIM_S = 10.0  # one answer of the queue
CLAIMS_WITHIN_S = 60.0  # the queue may just be restarting; afterwards the permit is of no use
REFUSED, BROKEN = 3, 4  # exit codes: the queue said no; this launch cannot work


def main() -> None:
    """Read the document, claim, become the notebook."""
    document = json.load(sys.stdin)
    os.closerange(3, os.sysconf("SC_OPEN_MAX") if os.sysconf("SC_OPEN_MAX") < 1 << 20 else 1 << 20)
    join_cgroups(document["cgroups"])
    claim(document["claim_url"], document["ticket"])
    become(document)


def join_cgroups(paths: list) -> None:  # type: ignore[type-arg]  # typed by its document
    """Enter the job's groups, so that no process of it can hide."""
    for path in paths:
        try:
            with open(path, "w") as procs:
                procs.write("0")
        except OSError as error:
            give_up(BROKEN, f"the job's group {path} cannot be joined: {error.strerror}")


def claim(url: str, ticket: str) -> None:
    """Name this process to the queue; return only if it may go on."""
    body = json.dumps({"ticket": ticket, "pid": os.getpid(), "started": started()})
    until = time.monotonic() + CLAIMS_WITHIN_S
    pause, reason = 0.2, "no answer"
    while time.monotonic() < until:
        try:
            status, reason = ask(url, body)
        except (OSError, http.client.HTTPException) as error:
            status, reason = 0, str(error) or repr(error)
        if status == 200:
            return
        if 400 <= status < 500:
            give_up(REFUSED, f"this launch is no longer wanted ({reason})")
        time.sleep(pause)
        pause = min(2.0, pause * 1.5)
    give_up(REFUSED, f"the queue could not be asked whether this launch is still wanted ({reason})")


def ask(url: str, body: str) -> tuple:  # type: ignore[type-arg]
    """One request; its status and the reason in words."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=CLAIM_S)
    try:
        connection.request("POST", parts.path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read(65536)
    finally:
        connection.close()
    try:
        return response.status, str(json.loads(text).get("message", response.status))
    except (ValueError, AttributeError):
        return response.status, f"status {response.status}"


def started() -> int:
    """When this process started, in clock ticks since boot: with its pid it names it for good."""
    with open("/proc/self/stat", "rb") as stat:
        return int(stat.read().rsplit(b")", 1)[1].split()[19])


def become(document: dict) -> None:  # type: ignore[type-arg]
    """Drop every right that is not the user's, and execute the notebook."""
    step, hub = "rights cannot be dropped", 2
    try:
        if document["uid"] is not None:
            os.setgroups(document["groups"])
            os.setgid(document["gid"])
            os.setuid(document["uid"])
        if 0 in os.getresuid():
            give_up(BROKEN, "no notebook runs as root: the spawner's identity() must name a numeric user")
        os.umask(0o077)
        step = f"the folder {document['cwd']} cannot be entered by the numeric user {os.getuid()}"
        os.chdir(document["cwd"])
        step = f"the log {document['log']} cannot be written"
        # Opened with the user's rights only: a link that the user put there leads nowhere else.
        os.makedirs(os.path.dirname(document["log"]), 0o700, exist_ok=True)
        log = os.open(document["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        step = f"{document['argv'][0]} cannot be executed by the numeric user {os.getuid()}"
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)  # Python ignores some, a Hub in the background others
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        hub = os.dup(2)  # not inherited: it closes when the notebook is executed, which is how the Hub learns of it
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.execvpe(document["argv"][0], document["argv"], document["env"])  # noqa: S606  # its argv is the Hub's own
    except OSError as error:
        os.dup2(hub, 2)
        give_up(BROKEN, f"{step}: {error.strerror}")


def give_up(code: int, reason: str) -> None:
    """End with one line for the Hub."""
    os.write(2, f"{reason}\n".encode(errors="replace"))
    os._exit(code)


if __name__ == "__main__":
    try:
        main()
    except Exception as error:  # whatever it is: the Hub is told in one line, and no notebook runs
        give_up(BROKEN, f"the launch wrapper failed: {error!r}")
