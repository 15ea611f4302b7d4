"""The command line of `gpuqueue doctor`, and the list of everything that it checks."""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from . import cluster, database, hub, machine, manager, nodes, probes, settings, words
from .deployment import Asked, Deployment
from .findings import Check, Outcome, Place
from .running import run

#: in the order in which they are made: what others need comes first
CHECKS: tuple[Check, ...] = (
    *settings.CHECKS,
    *hub.CHECKS,
    *manager.CHECKS,
    *database.CHECKS,
    *machine.CHECKS,
    *cluster.CHECKS,
    *nodes.CHECKS,
    *probes.CHECKS,
)


def main(argv: Sequence[str]) -> int:
    """Check, tell; 0 where nothing is wrong, 1 where something is."""
    parser = _parser()
    given = parser.parse_args(argv)
    deployment = Deployment(_asked(parser, given))
    if given.probe and Place.PROBE not in deployment.places:
        parser.error("--probe: these files lead to no cluster")
    logging.getLogger("gpuqueue").setLevel(logging.CRITICAL)  # what it would log is told as a finding
    watched = sys.stderr.isatty() and not given.json
    found = list(run(CHECKS, deployment, tell=_show if watched else lambda check: None))
    if watched:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    if given.json:
        print(words.document(found))
    else:
        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        print("\n".join(words.lines(found, colour=colour)))
    return 1 if any(finding.outcome is Outcome.PROBLEM for _, finding in found) else 0


def _show(check: Check) -> None:
    print(f"\r\x1b[K{check.name} ...", end="", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gpuqueue doctor",
        description="Look at a deployment without changing it, and say what is wrong and what to do. "
        "Exit status: 0 nothing is, 1 something is, 2 wrong usage.",
    )
    parser.add_argument("-f", "--config", metavar="FILE", help="the manager's configuration file")
    parser.add_argument("--hub-config", metavar="FILE", help="the Hub's configuration file; it is run, as a Hub would")
    parser.add_argument("--kubeconfig", metavar="FILE", help="look at this cluster, as whom it says")
    parser.add_argument("--context", default="", help="of that file; its current one otherwise")
    parser.add_argument("--manager", metavar="URL", help="address of the manager, where the files do not say it")
    parser.add_argument("--probe", metavar="NAMESPACE", help="try the network and a share by pods of a moment there")
    parser.add_argument("--image", help="of those pods; one with python3, such as the notebooks' own")
    parser.add_argument("--nfs", metavar="SERVER:/EXPORT", help="the share that is tried")
    parser.add_argument("--json", action="store_true", help="print for programs")
    return parser


def _asked(parser: argparse.ArgumentParser, given: argparse.Namespace) -> Asked:
    if not (given.config or given.hub_config or given.kubeconfig):
        parser.error("nothing to look at: give --config, --hub-config or --kubeconfig")
    files = {"--config": given.config, "--hub-config": given.hub_config, "--kubeconfig": given.kubeconfig}
    for option, path in files.items():
        if path and not Path(path).is_file():
            parser.error(f"{option}: there is no file {path}")
    if given.probe and not given.image:
        parser.error("--probe: name an --image with python3 in it")
    if given.nfs and not given.probe:
        parser.error("--nfs: name a namespace for a pod of a moment with --probe")
    if given.nfs and not re.fullmatch(r"[^:/\s]+:/\S*", given.nfs):
        parser.error(f"--nfs is {given.nfs!r}; allowed is SERVER:/EXPORT")
    return Asked(
        config=given.config or "",
        hub_config=given.hub_config or "",
        kubeconfig=given.kubeconfig or "",
        context=given.context,
        manager_url=given.manager or "",
        probe=given.probe or "",
        image=given.image or "",
        nfs=given.nfs or "",
    )
