"""What a spawn form shows beside each choice: free now, or the wait to expect."""

from __future__ import annotations

from ..availability import Asked, availability
from ..base import SpawnerHandler
from ..inputs import FormInput, read


class Form(SpawnerHandler):
    """The waits of all choices, for one user."""

    async def post(self) -> None:
        """200 with waits and the ticket that keeps the page current, 400."""
        given = read(FormInput, self.json_body())
        asked = Asked(
            user=given.user,
            server=given.server,
            choices={choice.key: choice.choice() for choice in given.choices},
        )
        tickets = self.settings["tickets"]
        refresh = self.settings["prefix"] + "availability"
        self.answer({**await availability(self.manager, asked), "ticket": tickets.seal(asked), "refresh": refresh})
