"""Writing the state config of core.state: read, change, write against the version that was read, again if others were faster."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Callable

from controller.core.state import STATE_NAME, new_state
from controller.engine.ports import Swarm
from controller.errors import NameTakenError, OutOfSequenceError, ProdBreakerError
from controller.model.plan import ObjectKind
from controller.model.spec import Json

_ATTEMPTS = 8


async def edit_state(swarm: Swarm, change: Callable[[Json], Json], *, what: str) -> int | None:
    """Write the state as `change` makes it of its spec, and create it if need be; None where that changes nothing.

    Returns the version that was written against, 0 for a new state: one with a higher version has the change in it.
    Raises SwarmError, or ProdBreakerError, which names `what`, when others keep writing the state.
    """
    for attempt in range(_ATTEMPTS):
        found = await swarm.list_objects(ObjectKind.CONFIG, filters={"name": [STATE_NAME]})
        state = next((item for item in found if item["Spec"]["Name"] == STATE_NAME), None)
        before = state["Spec"] if state else new_state(secrets.token_bytes(32))
        spec = change(before)
        if spec == before:
            return None
        try:
            if state is None:
                await swarm.create(ObjectKind.CONFIG, spec)
                return 0
            version: int = state["Version"]["Index"]
            await swarm.update(ObjectKind.CONFIG, state["ID"], version, spec)
        except (OutOfSequenceError, NameTakenError):
            await asyncio.sleep(random.uniform(0.01, 0.1) * (attempt + 1))  # noqa: S311 - keeps two writers apart, guards nothing
        else:
            return version
    raise ProdBreakerError(f"{what}: others kept writing the state; try again")
