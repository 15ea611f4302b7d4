"""Why somebody could not log in, in words for the login page.

A wrong name or password is not among them: JupyterHub words those itself, the same for both.
"""

from __future__ import annotations

from tornado import web


class LoginRefused(web.HTTPError):
    """The password was right, and still this person does not get in; or the directory could not be asked."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(status, "%s", words)
        self.jupyterhub_message = words


class NotAMember(LoginRefused):
    """Known to the directory, in none of the groups that may log in."""

    def __init__(self) -> None:
        super().__init__(403, "Your account is not in a group that may use this JupyterHub. Ask those who run it.")


def bad_name() -> LoginRefused:
    """Known to the directory under a name that this Hub does not take."""
    return LoginRefused(403, "Your login name has characters that this JupyterHub does not take. Ask those who run it.")


def bad_number(attribute: str, problem: str) -> LoginRefused:
    """The entry's numeric user or group is of no use."""
    words = f"Your entry in the directory {problem} ({attribute}), so no notebook could run."
    return LoginRefused(403, f"{words} Ask those who run the directory.")


def no_answer(seconds: float) -> LoginRefused:
    """The directory accepts connections, or not even that, and says nothing."""
    words = (
        f"The directory did not answer within {seconds:g} seconds. Nothing is wrong with your password; try again soon."
    )
    return LoginRefused(503, words)


def not_reachable() -> LoginRefused:
    """The directory is down, or does not do its work."""
    return LoginRefused(503, "The directory cannot be reached. Nothing is wrong with your password; try again soon.")
