"""The simulator on a unix socket: the Engine API, as far as docker's CLI and SDK need it for Swarm.

server = SocketServer(Simulator(nodes=3, epoch_ns=time.time_ns()), path)
await server.start()        # DOCKER_HOST=unix://PATH docker stack deploy …
…
await server.stop()
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web

from controller.model.plan import ObjectKind
from controller.model.spec import Json
from controller.simulator import about, defaults, streaming, validation
from controller.simulator.engine import ENGINE_VERSION, Simulator
from controller.simulator.faults import through
from controller.simulator.listing import Filters
from controller.simulator.refusals import RefusalError, UnreachableError
from controller.simulator.timeline import LoopPump

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_COLLECTIONS = {f"{kind.value}s": kind for kind in ObjectKind}
_GO_TYPES = {
    ObjectKind.SERVICE: "swarm.ServiceSpec",
    ObjectKind.NETWORK: "types.NetworkCreateRequest",
    ObjectKind.CONFIG: "swarm.ConfigSpec",
    ObjectKind.SECRET: "swarm.SecretSpec",
    ObjectKind.NODE: "swarm.NodeSpec",
}
_ANSWERS_NOTHING = {ObjectKind.NETWORK, ObjectKind.CONFIG, ObjectKind.SECRET}  # 204 to a removal; the others say 200
_MOST_BYTES = 16 << 20


class SocketServer:
    """`speed` seconds of the Swarm pass in one second."""

    def __init__(self, simulator: Simulator, path: Path, *, speed: float = 1.0) -> None:
        self.simulator = simulator
        self._speed = speed
        self.path = path
        self._pump: LoopPump | None = None
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen, and let virtual time run with the loop's."""
        self._pump = LoopPump(self.simulator.timeline, asyncio.get_running_loop(), speed=self._speed)
        app = web.Application(middlewares=[self._answer_errors], client_max_size=_MOST_BYTES)
        for prefix in ("", "/{api:v[0-9]+\\.[0-9]+}"):
            for method, path, handler in self._routes():
                app.router.add_route(method, prefix + path, handler)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.UnixSite(self._runner, str(self.path)).start()

    async def stop(self) -> None:
        self.simulator.events.close_all()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._pump is not None:
            self._pump.close()

    def _routes(self) -> list[tuple[str, str, Handler]]:
        kinds = "|".join(_COLLECTIONS)
        writable = "|".join(name for name, kind in _COLLECTIONS.items() if kind is not ObjectKind.TASK)
        versioned = "services|configs|secrets|nodes"
        return [
            ("HEAD", "/_ping", self._ping),
            ("GET", "/_ping", self._ping),
            ("GET", "/version", self._about(about.version)),
            ("GET", "/info", self._about(about.info)),
            ("GET", "/swarm", self._about(about.swarm)),
            ("GET", "/events", self._events),
            ("GET", "/distribution/{image:.+}/json", self._distribution),
            ("GET", f"/{{kind:{kinds}}}", self._list),
            ("GET", f"/{{kind:{kinds}}}/{{reference}}", self._inspect),
            ("POST", f"/{{kind:{writable}}}/create", self._create),
            ("POST", f"/{{kind:{versioned}}}/{{reference}}/update", self._update),
            ("DELETE", f"/{{kind:{writable}}}/{{reference}}", self._remove),
        ]

    # Endpoints

    async def _ping(self, request: web.Request) -> web.StreamResponse:
        await self._call(request, "ping", "engine", lambda: None)
        return web.Response(text="OK", headers={"Docker-Experimental": "false", "Swarm": "active/manager"})

    def _about(self, tell: Callable[[Simulator], Json]) -> Handler:
        async def handler(request: web.Request) -> web.StreamResponse:
            return _json(await self._call(request, tell.__name__, "engine", lambda: tell(self.simulator)))

        return handler

    async def _list(self, request: web.Request) -> web.StreamResponse:
        kind, filters = _kind(request), parse_filters(request)
        status = request.query.get("status", "") in ("1", "true", "True")
        rows = await self._call(request, "list", kind.value, lambda: self.simulator.list_objects(kind, filters, status=status))
        return _json(rows)

    async def _inspect(self, request: web.Request) -> web.StreamResponse:
        kind, reference = _kind(request), request.match_info["reference"]
        target, of_swarm = self.simulator.name_of(kind, reference), request.query.get("scope", "") == "swarm"
        row = await self._call(request, "inspect", target, lambda: self.simulator.inspect(kind, reference, of_swarm=of_swarm))
        if kind is ObjectKind.SERVICE and request.query.get("insertDefaults", "") in ("1", "true", "True"):
            row = defaults.with_defaults(row)
        return _json(row)

    async def _create(self, request: web.Request) -> web.StreamResponse:
        kind = _kind(request)
        body = await _body(request, kind)
        api = self._api(request)
        target = f"{kind.value}/{body.get('Name', '')}"
        new_id = await self._call(request, "create", target, lambda: self.simulator.create(kind, body, api=api))
        return _json({"Id": new_id, "Warning": ""} if kind is ObjectKind.NETWORK else {"ID": new_id}, status=201)

    async def _update(self, request: web.Request) -> web.StreamResponse:
        kind, reference = _kind(request), request.match_info["reference"]
        body, api, rollback = await _body(request, kind), self._api(request), request.query.get("rollback", "")
        text = request.query.get("version", "")

        def update() -> None:
            if not text.isdecimal():
                raise validation.bad_version(kind, text)
            self.simulator.update(kind, reference, int(text), body, rollback=rollback, api=api)

        await self._call(request, "update", self.simulator.name_of(kind, reference), update)
        return _json({"Warnings": None}) if kind is ObjectKind.SERVICE else web.Response()

    async def _remove(self, request: web.Request) -> web.StreamResponse:
        kind, reference = _kind(request), request.match_info["reference"]
        target = self.simulator.name_of(kind, reference)
        await self._call(request, "remove", target, lambda: self.simulator.remove(kind, reference))
        return web.Response(status=204 if kind in _ANSWERS_NOTHING else 200)

    async def _distribution(self, request: web.Request) -> web.StreamResponse:
        image = request.match_info["image"]
        digest = await self._call(request, "resolve", image, lambda: self.simulator.digest(image))
        descriptor = {"mediaType": "application/vnd.oci.image.index.v1+json", "digest": digest, "size": 1}
        return _json({"Descriptor": descriptor, "Platforms": [{"architecture": "amd64", "os": "linux"}]})

    async def _events(self, request: web.Request) -> web.StreamResponse:
        window = streaming.Window.of_query(request.query)
        filters = parse_filters(request)
        return await streaming.stream(
            request, self.simulator, window, filters, lambda effect: self._call(request, "events", "stream", effect)
        )

    # Means

    async def _call(self, request: web.Request, operation: str, target: str, effect: Callable[[], T]) -> T:
        self._api(request)

        def in_time() -> T:
            if self._pump is not None:
                self._pump.sync()
            return effect()

        return await through(self.simulator.gate, operation, target, in_time)

    def _api(self, request: web.Request) -> tuple[int, int]:
        """The version that the client asks for: newer ones are refused, older ones lose the fields that they do not know."""
        own, text = self.simulator.api_version, request.match_info.get("api", "")
        if not text:
            return own
        major, minor = text[1:].split(".")
        asked = (int(major), int(minor))
        if asked > own:
            most = f"Maximum supported API version is {about.word(own)}"
            raise RefusalError(400, f"client version {text[1:]} is too new. {most}")
        if asked < about.MINIMUM_API:
            least = f"Minimum supported API version is {about.word(about.MINIMUM_API)}"
            raise RefusalError(
                400, f"client version {text[1:]} is too old. {least}, please upgrade your client to a newer version"
            )
        return asked

    @web.middleware
    async def _answer_errors(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        except RefusalError as refusal:
            response = _json({"message": refusal.message}, status=refusal.status)
        except UnreachableError:
            if request.transport is not None:
                request.transport.abort()  # no answer, not even a status line
            response = web.Response(status=500)
        except (web.HTTPNotFound, web.HTTPMethodNotAllowed):
            response = _json({"message": "page not found"}, status=404)
        if not response.prepared:
            response.headers["Api-Version"] = about.word(self.simulator.api_version)
            response.headers["Ostype"] = "linux"
            response.headers["Server"] = f"Docker/{ENGINE_VERSION} (simulator)"
        return response


def parse_filters(request: web.Request) -> Filters:
    """Both forms that clients send: lists of values, and maps with `true` as value."""
    text = request.query.get("filters", "")
    if not text:
        return {}
    try:
        given = json.loads(text)
    except ValueError as error:
        raise RefusalError(400, f"invalid character '{text[0]}' looking for beginning of value") from error
    return {key: list(values) for key, values in given.items()}


async def _body(request: web.Request, kind: ObjectKind) -> dict[str, Any]:
    try:
        body = await request.json()
    except ValueError as error:
        raise RefusalError(400, f"invalid JSON: {error}") from error
    if not isinstance(body, dict):
        word = {str: "string", list: "array", bool: "bool"}.get(type(body), "number")
        raise RefusalError(400, f"json: cannot unmarshal {word} into Go value of type {_GO_TYPES[kind]}")
    return body


def _kind(request: web.Request) -> ObjectKind:
    return _COLLECTIONS[request.match_info["kind"]]


def _json(value: object, *, status: int = 200) -> web.Response:
    text = json.dumps(value, separators=(",", ":")) + "\n"
    return web.Response(body=text.encode(), status=status, content_type="application/json")
