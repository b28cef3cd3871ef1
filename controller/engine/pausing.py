"""Pause and resume, written where every controller reads them: the state config of core.state."""

from __future__ import annotations

import asyncio
import random
import secrets
from datetime import UTC, datetime

from controller.core.state import STATE_NAME, new_state, with_pause
from controller.engine.ports import Clock, Swarm
from controller.errors import NameTakenError, OutOfSequenceError, ProdBreakerError
from controller.model.plan import ObjectKind

_ATTEMPTS = 8


async def set_paused(swarm: Swarm, clock: Clock, target: str, *, paused: bool) -> None:
    """Pause or resume `stack` or `stack/service`; doing it twice is no error.

    Raises SwarmError, or ProdBreakerError when others keep writing the state.
    """
    since = datetime.fromtimestamp(clock.wall(), UTC).isoformat(timespec="seconds") if paused else None
    for attempt in range(_ATTEMPTS):
        found = await swarm.list_objects(ObjectKind.CONFIG, filters={"name": [STATE_NAME]})
        state = next((item for item in found if item["Spec"]["Name"] == STATE_NAME), None)
        try:
            if state is None:
                body = with_pause(new_state(secrets.token_bytes(32)), target, since=since)
                await swarm.create(ObjectKind.CONFIG, body)
                return
            spec = with_pause(state["Spec"], target, since=since)
            if spec != state["Spec"]:
                await swarm.update(ObjectKind.CONFIG, state["ID"], state["Version"]["Index"], spec)
        except (OutOfSequenceError, NameTakenError):
            await asyncio.sleep(random.uniform(0.01, 0.1) * (attempt + 1))  # noqa: S311 - keeps two writers apart, guards nothing
        else:
            return
    raise ProdBreakerError(f"{target}: others kept writing the state; try again")
