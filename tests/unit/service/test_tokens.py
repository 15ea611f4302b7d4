"""Who a token belongs to is believed for seconds; while the Hub is away who was known goes on reading."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from gpuqueue_spawner.service import tokens
from gpuqueue_spawner.service.errors import HubAway
from gpuqueue_spawner.service.tokens import FRESH_S, STALE_S, Tokens

ALICE = {"name": "alice", "kind": "user", "scopes": []}


@dataclass
class Hub:
    """Knows tokens; may fail or say nothing. It also holds the clock."""

    known: dict[str, Any] = field(default_factory=lambda: {"good": ALICE})
    fault: Exception | None = None
    hangs: bool = False
    asked: list[str] = field(default_factory=list)
    now: float = 100.0

    async def answer(self, token: str) -> Any:
        self.asked.append(token)
        if self.hangs:
            await asyncio.sleep(3600)
        if self.fault:
            raise self.fault
        await asyncio.sleep(0)
        return self.known.get(token)

    def tokens(self) -> Tokens:
        return Tokens(self.answer, clock=lambda: self.now)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits of a silent Hub, so short that a test need not wait for them."""
    monkeypatch.setattr(tokens, "LIMIT_S", 0.05)
    monkeypatch.setattr(tokens, "PATIENCE_S", 0.01)


async def test_an_answer_is_believed_for_seconds() -> None:
    """Also the answer that it is nobody's: whoever tries tokens does not keep the Hub busy."""
    hub = Hub()
    it = hub.tokens()

    for _ in range(3):
        assert await it.model("good", reads=True) == ALICE
        assert await it.model("bad", reads=True) is None
    assert hub.asked == ["good", "bad"]

    hub.known.clear()  # revoked
    hub.now += FRESH_S
    assert await it.model("good", reads=True) is None


async def test_many_at_once_ask_once() -> None:
    hub = Hub()
    it = hub.tokens()

    found = await asyncio.gather(*(it.model("good", reads=True) for _ in range(20)))

    assert found == [ALICE] * 20
    assert hub.asked == ["good"]


@pytest.mark.parametrize("fault", [OSError("refused"), ValueError("no JSON"), RuntimeError("anything")])
async def test_a_hub_that_fails_is_away_and_not_a_bad_token(fault: Exception) -> None:
    """Whatever its client raises: the versions' clients share no class of faults."""
    hub = Hub(fault=fault)

    with pytest.raises(HubAway):
        await hub.tokens().model("good", reads=True)


async def test_while_the_hub_is_silent_a_known_reader_reads_on_and_changes_nothing() -> None:
    hub = Hub()
    it = hub.tokens()
    await it.model("good", reads=True)
    hub.hangs = True
    hub.now += STALE_S - 1

    assert await it.model("good", reads=True) == ALICE
    with pytest.raises(HubAway):
        await it.model("good", reads=False)
    with pytest.raises(HubAway):
        await it.model("other", reads=True)

    hub.now += 1
    with pytest.raises(HubAway):
        await it.model("good", reads=True)


async def test_once_silence_was_noticed_nobody_known_waits_for_it() -> None:
    hub = Hub()
    it = hub.tokens()
    await it.model("good", reads=True)
    hub.hangs = True
    hub.now += FRESH_S
    with pytest.raises(HubAway):
        await it.model("good", reads=False)

    await asyncio.sleep(2 * tokens.LIMIT_S)  # the question itself has been given up, too

    with pytest.raises(StopIteration) as at_once:
        it.model("good", reads=True).send(None)
    assert at_once.value.value == ALICE


async def test_a_token_revoked_while_the_hub_was_away_is_refused_as_soon_as_it_is_back() -> None:
    hub = Hub()
    it = hub.tokens()
    await it.model("good", reads=True)
    hub.fault = OSError("refused")
    hub.now += FRESH_S
    assert await it.model("good", reads=True) == ALICE

    hub.fault = None
    hub.known.clear()
    await it.model("good", reads=True)  # the Hub is asked meanwhile
    await asyncio.sleep(0.01)

    assert await it.model("good", reads=True) is None


@pytest.mark.parametrize("token", ["", "x" * 501, "a b", "\x00", "tok\nen", "töken", "\ud800"])
async def test_what_the_hub_never_gave_out_is_not_even_asked_for(token: str) -> None:
    hub = Hub()

    assert await hub.tokens().model(token, reads=True) is None
    assert hub.asked == []


async def test_who_leaves_early_does_not_spoil_it_for_others() -> None:
    """A browser that closes its connection cancels its own request only."""
    hub = Hub()
    it = hub.tokens()
    first = asyncio.create_task(it.model("good", reads=True))
    second = asyncio.create_task(it.model("good", reads=True))
    await asyncio.sleep(0)

    first.cancel()

    assert await second == ALICE


async def test_memory_does_not_grow_with_tokens_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "KEPT", 10)
    hub = Hub()
    it = hub.tokens()

    for number in range(50):
        await it.model(f"tried{number}", reads=True)

    assert len(it._answers) <= 11
