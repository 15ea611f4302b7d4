"""`gpuqueue manager`: hands over to the queue manager's own application, which reads its arguments by itself."""

from __future__ import annotations

from ..service.app import ManagerApp


def main(argv: list[str]) -> None:
    """Run the queue manager until it is told to end."""
    ManagerApp.launch_instance(argv)
