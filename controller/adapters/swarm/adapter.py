"""The loop's port to the Swarm, on docker's client."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from functools import partial
from typing import Any

from controller.adapters.swarm import images
from controller.adapters.swarm.connection import Endpoint
from controller.adapters.swarm.credentials import Credentials, secrets_of
from controller.adapters.swarm.request import Request
from controller.adapters.swarm.translate import CallVerb, Operation, concealed, is_wrong_version
from controller.adapters.swarm.transport import CallObserver, Fence, Transport
from controller.engine.ports import EngineFacts, SwarmEvent
from controller.errors import NotFoundError, RefusedError, RegistryError, SwarmError
from controller.model.observation import ResolvedImage
from controller.model.plan import ObjectKind
from controller.model.spec import Json
from controller.stackfile.images import familiar

CALL_SECONDS = 30.0  # a list of thousands takes one; a manager that lost its quorum gives up by itself after ten
WORKERS = 8  # writes are serial in Raft, so more in flight win little

_STATUS_COUNTS_SINCE = (1, 41)  # of the API
_NODE_NETWORKS = ("host", "bridge")
_NAMES_CHECKED_SINCE = (1, 44)  # before, the engine took two networks of one name unless asked not to
_UPDATABLE = frozenset({ObjectKind.SERVICE, ObjectKind.CONFIG, ObjectKind.SECRET, ObjectKind.NODE})


def _count_nothing(_operation: str, _outcome: str, _seconds: float) -> None:
    return


def _always() -> bool:
    return True


class DockerSwarm:
    """Implements `controller.engine.ports.Swarm`. Made and used on one event loop; `close` it."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        on_call: CallObserver = _count_nothing,
        may_write: Fence = _always,
        workers: int = WORKERS,
        call_seconds: float = CALL_SECONDS,
    ) -> None:
        """`on_call(operation, outcome, seconds)` is told of every call: `service_list`, `ok` or a kind of failure.

        `may_write` is asked right before a write is sent; where it says no, NotLeaderError is raised.
        Raises ConnectionConfigError for an endpoint of which docker's client cannot be made.
        """
        self._transport = Transport(endpoint, on_call=on_call, may_write=may_write, workers=workers, call_seconds=call_seconds)
        self._credentials = Credentials(endpoint.config_file)
        self._unlisted: list[Json] | None = None

    async def close(self) -> None:
        """Let connections and threads go. A call still in flight is abandoned, as by a timeout."""
        self._transport.close()

    async def facts(self) -> EngineFacts:
        api_version = await self._transport.api_version()
        self._unlisted = None  # another Swarm may have taken this one's place
        info = Request(Operation("info"), "GET", "/info")
        return await self._transport.read(info, partial(_facts, api_version))

    async def list_objects(self, kind: ObjectKind, *, filters: Mapping[str, Sequence[str]] | None = None) -> list[Json]:
        params = {}
        if filters:
            params["filters"] = json.dumps({name: list(values) for name, values in filters.items()})
        if kind is ObjectKind.SERVICE and await self._transport.api_version() >= _STATUS_COUNTS_SINCE:
            params["status"] = "true"
        request = Request(Operation(kind.value, CallVerb.LIST), "GET", f"/{kind}s", params=params)
        found = await self._transport.read(request, partial(_objects, kind))
        return found + await self._unlisted_networks() if kind is ObjectKind.NETWORK and not filters else found

    async def _unlisted_networks(self) -> list[Json]:
        """Swarm's own entries for the nodes' networks: services refer to their ids, and no list has them. Asked for once."""
        if self._unlisted is not None:
            return self._unlisted
        found: list[Json] = []
        for name in _NODE_NETWORKS:
            request = Request(
                Operation(ObjectKind.NETWORK.value), "GET", f"/networks/{name}", target=name, params={"scope": "swarm"}
            )
            try:
                found.append(await self._transport.read(request, _object))
            except NotFoundError:  # an engine that keeps no such entry has nothing that could refer to it
                continue
        self._unlisted = found
        return found

    async def create(self, kind: ObjectKind, body: Json, *, auth: str | None = None) -> str:
        if kind is ObjectKind.NETWORK and await self._transport.api_version() < _NAMES_CHECKED_SINCE:
            body = {**body, "CheckDuplicate": True}
        request = Request(
            Operation(kind.value, CallVerb.CREATE),
            "POST",
            f"/{kind}s/create",
            target=str(body.get("Name") or ""),
            body=_packed(body),
            headers=_auth_header(auth),
            hidden=_hidden(body, auth),
        )
        return await self._transport.write(request, _created_id)

    async def update(self, kind: ObjectKind, object_id: str, version: int, body: Json, *, auth: str | None = None) -> None:
        operation = Operation(kind.value, CallVerb.UPDATE)
        if kind not in _UPDATABLE:
            raise RefusedError(f"the engine has no way to update a {kind}", operation=str(operation))
        request = Request(
            operation,
            "POST",
            f"/{kind}s/{object_id}/update",
            target=str(body.get("Name") or object_id),
            params={"version": str(version)},
            body=_packed(body),
            headers=_auth_header(auth),
            hidden=_hidden(body, auth),
        )
        await self._transport.write(request, _nothing)

    async def remove(self, kind: ObjectKind, object_id: str) -> None:
        request = Request(Operation(kind.value, CallVerb.REMOVE), "DELETE", f"/{kind}s/{object_id}", target=object_id)
        await self._transport.write(request, _nothing)

    def registry_auth(self, image: str) -> str | None:
        """As the port says. Raises RegistryError when a credential helper fails; may wait for one, for up to ten seconds."""
        return self._credentials.header(image)

    async def resolve_image(self, image: str, *, auth: str | None = None) -> ResolvedImage:
        if images.is_image_id(image):
            return ResolvedImage(image)
        try:
            path = f"/distribution/{familiar(image)}/json"
        except ValueError as error:
            raise RegistryError(f"image {error}") from error
        request = Request(Operation("distribution"), "GET", path, headers=_auth_header(auth), hidden=secrets_of(auth))
        try:
            return await self._transport.read(request, lambda answer: images.resolved(image, json.loads(answer)))
        except SwarmError as error:
            # The engine only passes the question on: where it answers at all, or lets us wait, the fault is the registry's.
            waited = isinstance(error.__cause__, TimeoutError)
            if not waited and (error.status is None or is_wrong_version(str(error))):
                raise
            raise RegistryError(f"{concealed(image, request.hidden)} cannot be resolved to a digest: {error}") from error

    async def events(self, *, since_nano: int | None = None) -> AsyncGenerator[SwarmEvent, None]:
        """As the port says; `stream opened` comes first, `stream lost` where the reader was too slow to be given everything."""
        from controller.adapters.swarm import events  # docker's SDK is behind it, which takes long to import

        operation = Operation("events")
        client = self._transport.make_streamer()
        try:
            request = Request(operation, "GET", "/events", params=events.query(since_nano))
            response = await self._transport.open_stream(request, client)
        except BaseException:
            client.close()
            raise
        stream = events.EventStream(client, response, partial(self._transport.broken, operation))
        try:
            yield events.OPENED
            while batch := await stream.take():
                for event in batch:
                    yield event
        finally:
            stream.close()


def _facts(api_version: tuple[int, int], answer: bytes) -> EngineFacts:
    info = json.loads(answer)
    swarm = info["Swarm"]
    return EngineFacts(
        api_version=api_version,
        engine_version=str(info["ServerVersion"]),
        node_id=str(swarm["NodeID"]),
        is_manager=bool(swarm["ControlAvailable"]),
        cluster_id=str((swarm.get("Cluster") or {}).get("ID", "")),
    )


def _objects(kind: ObjectKind, answer: bytes) -> list[Json]:
    found = json.loads(answer)
    ident = "Id" if kind is ObjectKind.NETWORK else "ID"
    # What is no list, or holds what is no object, must not pass for absence.
    if not isinstance(found, list) or not all(isinstance(item, dict) and item.get(ident) for item in found):
        raise ValueError(f"not a list of {kind}s")
    return found


def _object(answer: bytes) -> Json:
    found: Json = json.loads(answer)
    if not found["Id"]:
        raise ValueError("an object without an id")
    return found


def _created_id(answer: bytes) -> str:
    created: Any = json.loads(answer)
    return str(created.get("ID") or created["Id"])  # networks spell it their own way


def _nothing(_: bytes) -> None:
    return


def _packed(body: Json) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


def _auth_header(auth: str | None) -> Mapping[str, str]:
    return {"X-Registry-Auth": auth} if auth else {}


def _hidden(body: Json, auth: str | None) -> list[str]:
    """What the engine may repeat where it refuses it, as in `expanding env "PASSWORD={{…"`."""
    container = (body.get("TaskTemplate") or {}).get("ContainerSpec") or {}
    values = [variable.partition("=")[2] for variable in container.get("Env") or () if "=" in variable]
    return [*secrets_of(auth), *values]
