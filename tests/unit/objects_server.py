"""An API server as far as volumes and claims need one: it keeps objects by their paths, and can be made to misbehave.

What the cluster itself does with them, such as binding, a test does in its place. The real one: tests/cluster/.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

Object = dict[str, Any]

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: here
contexts: [{{name: here, context: {{cluster: here, user: somebody}}}}]
clusters: [{{name: here, cluster: {{server: "{url}"}}}}]
users: [{{name: somebody, user: {{}}}}]
"""


class ObjectsServer:
    """Objects by collection and name; `says` is what it answers instead, `asked` what it was asked."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Object]] = {}
        self.says: str = ""
        self.asked: list[str] = []
        self.url = ""
        self._uids = 0

    def there(self, kind: str) -> dict[str, Object]:
        """The objects of a kind, as `persistentvolumes` or `namespaces/notebooks/persistentvolumeclaims`."""
        return self.objects.setdefault(f"/api/v1/{kind}", {})

    def made(self, document: Object) -> Object:
        """As one that was made: with a uid."""
        self._uids += 1
        document["metadata"] = {**document["metadata"], "uid": f"uid-{self._uids}"}
        return document

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Do what is asked."""
        self.asked.append(f"{request.method} {request.path}")
        if self.says == "silent":
            await asyncio.sleep(60)
        if self.says:
            return _failure(int(self.says.split()[0]), self.says.partition(" ")[2])
        if request.path in self.objects:
            return await self._collection(request, self.objects[request.path])
        collection, _, name = request.path.rpartition("/")
        found = self.objects.get(collection, {})
        if name not in found:
            return _failure(404, f"{name} not found")
        if request.method == "GET":
            return web.json_response(found[name])
        options = await request.json()
        if options["preconditions"]["uid"] != found[name]["metadata"]["uid"]:
            return _failure(409, "another uid")
        return web.json_response(found.pop(name))

    async def _collection(self, request: web.Request, objects: dict[str, Object]) -> web.StreamResponse:
        if request.method == "POST":
            document = await request.json()
            name = document["metadata"]["name"]
            if name in objects:
                return _failure(409, f"{name} already exists")
            objects[name] = self.made(document)
            return web.json_response(document, status=201)
        key, _, value = request.query.get("labelSelector", "").partition("=")
        chosen = [each for each in objects.values() if not key or each["metadata"].get("labels", {}).get(key) == value]
        return web.json_response({"items": chosen, "metadata": {}})

    def kubeconfig(self, folder: Path) -> Path:
        """Write what leads here."""
        path = folder / "kubeconfig"
        path.write_text(KUBECONFIG.format(url=self.url))
        return path


@asynccontextmanager
async def objects_server(*kinds: str) -> AsyncIterator[ObjectsServer]:
    """One that has these kinds."""
    it = ObjectsServer()
    for each in kinds:
        it.there(each)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", it.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server
    it.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[attr-defined]
    yield it
    await runner.cleanup()


def _failure(status: int, words: str) -> web.Response:
    document = {"kind": "Status", "message": words, "code": status}
    return web.Response(text=json.dumps(document), status=status, content_type="application/json")
