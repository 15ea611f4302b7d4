"""Real programs that tests start, each on free loopback ports or sockets with its own data, and stop again."""


class MissingProgram(Exception):
    """A program that a test needs is not installed. A failure, never a skip: an untested promise is none."""

    def __init__(self, program: str, package: str) -> None:
        super().__init__(f"{program} is not installed: `apt-get install {package}` (Debian, Ubuntu)")
