"""Lists once, follows, goes on, lists anew: against an API server that misbehaves in one way after the other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from gpuqueue_spawner.capacity.kubernetes.reflector import ApiError, Kind, Reflector

GONE = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old resource version"}}


class Server:
    """Answers with what a test has put into it."""

    def __init__(self) -> None:
        self.objects: dict[str, int] = {}
        self.version = 1
        self.watches: list[list[dict[str, Any]]] = []
        self.asked: list[dict[str, Any]] = []
        self.away = False
        self.now = 100.0
        self.lasts = 20.0  # seconds that a watch goes on

    def get(self, kind: Kind, **query: Any) -> dict[str, Any]:
        """A page of at most two."""
        self.asked.append(query)
        if self.away:
            raise ApiError("connection refused")
        names = sorted(self.objects)
        start = int(query.get("_continue") or 0)
        more = str(start + 2) if start + 2 < len(names) else ""
        items = [self.document(name) for name in names[start : start + 2]]
        return {"metadata": {"resourceVersion": str(self.version), "continue": more}, "items": items}

    def lines(self, kind: Kind, **query: Any) -> Iterator[bytes]:
        """The next watch that a test has put in; after the last one it is away."""
        self.asked.append(query)
        if self.away or not self.watches:
            raise ApiError("connection refused")
        for event in self.watches.pop(0):
            yield json.dumps(event).encode()
        self.now += self.lasts

    def document(self, name: str, version: int | None = None) -> dict[str, Any]:
        """An object whose value is a number."""
        meta = {"name": name, "namespace": "hub", "resourceVersion": str(version or self.version)}
        return {"metadata": meta, "value": self.objects.get(name)}

    def event(self, kind: str, name: str, value: int | None = None) -> dict[str, Any]:
        """A change."""
        self.version += 1
        self.objects[name] = value or 0
        return {"type": kind, "object": self.document(name)}


@pytest.fixture
def server() -> Server:
    return Server()


class Following:
    """A reflector, and what it told."""

    def __init__(self, server: Server) -> None:
        self.rung = 0
        self.it: Reflector[int] = Reflector(
            server, Kind.PODS, lambda document: int(document["value"]), changed=self._ring, clock=lambda: server.now
        )

    def _ring(self) -> None:
        self.rung += 1

    @property
    def values(self) -> list[int]:
        return sorted(self.it.objects())


def test_all_pages_are_listed_before_anything_is_followed(server: Server) -> None:
    """From the moment of the list."""
    server.objects = {name: number for number, name in enumerate("abcde")}
    server.version = 17
    server.watches = [[]]
    following = Following(server)

    following.it.step()

    assert following.values == [0, 1, 2, 3, 4]
    assert [query.get("_continue") for query in server.asked[:3]] == [None, "2", "4"]
    assert server.asked[3]["resource_version"] == "17"
    assert following.rung == 1


def test_changes_are_taken_over_one_by_one(server: Server) -> None:
    """Added, changed, deleted; what changes nothing that is kept rings for nobody."""
    server.watches = [
        [server.event("ADDED", "a", 1), server.event("MODIFIED", "a", 2), server.event("MODIFIED", "a", 2)]
    ]
    server.objects = {}
    following = Following(server)

    following.it.step()
    assert following.values == [2]
    assert following.rung == 3  # the list and two changes

    server.watches = [[server.event("DELETED", "a"), server.event("DELETED", "never-seen")]]
    following.it.step()
    assert following.values == []


def test_the_last_word_of_what_is_deleted_is_told_before_the_bell(server: Server) -> None:
    """It says why; of what only a list no longer has, nobody knows."""
    server.objects = {"unseen": 7}
    server.watches = [[server.event("ADDED", "a", 1)]]
    told: list[Any] = []
    it: Reflector[int] = Reflector(
        server,
        Kind.PODS,
        lambda document: int(document["value"]),
        left=lambda document: told.append(document["value"]),
        changed=lambda: told.append("bell"),
        clock=lambda: server.now,
    )
    it.step()
    told.clear()

    server.watches = [[server.event("DELETED", "a", 2)]]
    it.step()

    assert told == [2, "bell"]


def test_a_watch_that_ended_is_gone_on_with_from_the_last_word(server: Server) -> None:
    """A bookmark is one; nothing is listed again."""
    server.watches = [
        [server.event("ADDED", "a", 1), {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "90"}}}],
        [],
    ]
    following = Following(server)

    following.it.step()
    following.it.step()

    versions = [query["resource_version"] for query in server.asked if query.get("watch")]
    assert versions[1:] == ["90"]
    assert sum("limit" in query for query in server.asked) == 1


def test_what_is_too_long_ago_is_an_error_in_a_good_answer(server: Server) -> None:
    """Status 410, as an event of an answer with status 200."""
    server.watches = [[GONE]]
    following = Following(server)

    with pytest.raises(ApiError) as error:
        following.it.step()
    assert error.value.status == 410


def test_its_age_is_that_of_the_last_word(server: Server) -> None:
    """A watch that ended in good order is a word too: until now nothing has happened."""
    server.watches = [[], []]
    following = Following(server)
    assert following.it.heard is None

    following.it.step()
    assert following.it.heard == 120.0
    following.it.step()
    assert following.it.heard == 140.0

    server.now, server.away = 160.0, True
    with pytest.raises(ApiError):
        following.it.step()
    assert following.it.heard == 140.0


def test_a_watch_that_ends_at_once_is_no_word(server: Server) -> None:
    """Something in front of the server may end it; what changes meanwhile nobody tells."""
    server.watches, server.lasts = [[], []], 0.1
    following = Following(server)

    for _ in range(2):
        with pytest.raises(ApiError, match=r"ended a watch after 0\.1 s"):
            following.it.step()

    assert following.it.heard == 100.0, "the list's"
    assert sum("limit" in query for query in server.asked) == 1


def test_a_watch_that_something_in_between_ends_is_no_word_either_and_a_list_is_asked_for_one(server: Server) -> None:
    """It went on for a while, so it is gone on with at once; but nobody has said that nothing happened meanwhile."""
    server.watches, server.lasts = [[] for _ in range(5)], 8.0
    following = Following(server)

    heard = []
    for _ in range(5):
        following.it.step()
        heard.append(following.it.heard)

    assert heard == [100.0, 100.0, 116.0, 116.0, 132.0], "the lists'; the watches ended at 108, 116, 124, 132, 140"
    assert sum("limit" in query for query in server.asked) == 3


def test_a_word_is_never_much_older_than_a_watch_is_long_whoever_ends_them(server: Server) -> None:
    """Or a quiet cluster would count as silent where its age may be little more than that."""
    server.watches, server.lasts = [[] for _ in range(4)], 18.0
    following = Following(server)

    heard = []
    for _ in range(4):
        following.it.step()
        heard.append(following.it.heard)

    assert heard == [100.0, 118.0, 136.0, 154.0]


def test_what_was_heard_in_a_watch_that_ended_early_counts(server: Server) -> None:
    """From then on it is as old as any other word."""
    server.watches, server.lasts = [[], [server.event("ADDED", "a", 1)], []], 8.0
    server.objects = {}
    following = Following(server)

    for _ in range(3):
        following.it.step()

    assert following.it.heard == 108.0
    assert sum("limit" in query for query in server.asked) == 1


@pytest.mark.parametrize("watch", [[GONE], []], ids=["too long ago", "ended at once"])
def test_what_goes_wrong_again_and_again_is_tried_less_and_less_often(
    server: Server, watch: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list of a large cluster, over and over without a pause, is what a server in need can least do with."""
    server.watches, server.lasts = [watch for _ in range(9)] + [[]], 0.0
    following = Following(server)
    pauses: list[float] = []

    def wait(seconds: float) -> None:
        pauses.append(seconds)
        server.lasts = 20.0 if len(pauses) == 9 else 0.0
        if len(pauses) == 10:
            following.it.stop()

    monkeypatch.setattr(following.it._ended, "wait", wait)
    following.it._run()

    assert pauses[:7] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0]
    assert pauses[9:] == [0.2], "a watch that went on makes up for them"


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, "The cluster does not answer: so"),
        (500, "The cluster does not answer: so"),
        (401, "The cluster does not accept this login: so"),
        (403, "The cluster refuses: so"),
    ],
)
def test_a_cluster_that_says_no_is_told_from_one_that_is_away(status: int, words: str) -> None:
    assert ApiError("so", status=status).sentence == words
