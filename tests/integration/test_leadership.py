"""Two or three controllers contend for the lease while processes freeze, lines fail and people interfere, on virtual time.

Two may never write at the same instant, and where one of them is well somebody leads again within the lease and two seconds.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from enum import StrEnum

import looptime
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core.lease import LEASE_NAME
from controller.model.plan import ObjectKind
from controller.simulator.engine import Simulator
from controller.simulator.inprocess import InProcessSwarm
from tests.support.contender import Contender

LEASE = 10.0
TAKEOVER = LEASE + 2.0
TICK = 0.25
EXAMPLES = 40


class Harm(StrEnum):
    FREEZE = "its process stands still"
    CUT = "nothing that it sends arrives"
    KILL = "it dies, and another one starts later"
    STOP = "it ends in order, and another one starts later"
    DEAF = "no answer comes back"
    SLOW = "requests and answers take their time"
    REMOVE = "somebody removes the lease"


@dataclass(frozen=True)
class Blow:
    after: float  # seconds since the one before
    whom: int
    harm: Harm
    lasts: float
    delays: tuple[float, float] = (0.0, 0.0)


def blows(*harms: Harm) -> st.SearchStrategy[list[Blow]]:
    times = st.floats(0, 30)
    return st.lists(
        st.builds(
            Blow, after=times, whom=st.integers(0, 2), harm=st.sampled_from(harms), lasts=times,
            delays=st.tuples(st.floats(0, 6), st.floats(0, 6)),
        ),
        max_size=8,
    )  # fmt: skip


@dataclass
class Field:
    """The contenders and what is known of them. Nobody may write without having been told, so `most` misses no instant."""

    swarm: InProcessSwarm
    random: random.Random
    contenders: list[Contender]
    well_since: dict[int, float] = field(default_factory=dict)
    led_at: float = 0.0  # when somebody led, or the count had to begin anew
    most: int = 0
    longest: float = 0.0  # without a leader though somebody was well all the time
    harmed: dict[int, int] = field(default_factory=dict)

    def start(self, whom: int) -> None:
        def jitter(seconds: float) -> float:
            return seconds * self.random.uniform(0.9, 1.1)

        name = f"{whom}-{self.random.getrandbits(32):08x}"
        self.contenders[whom] = Contender(self.swarm, name, seconds=LEASE, jitter=jitter)
        self.contenders[whom].leader.on_change = self.told
        self.contenders[whom].start()
        self.well_since[whom] = now()

    def told(self, _: bool) -> None:
        self.count()

    def count(self) -> int:
        leading = sum(contender.runs and contender.leader.may_write() for contender in self.contenders)
        self.most = max(self.most, leading)
        return leading

    async def watch(self) -> None:
        while True:
            if self.count():
                self.led_at = now()
            elif self.well_since:
                self.longest = max(self.longest, now() - max(self.led_at, min(self.well_since.values())))
            await asyncio.sleep(TICK)

    async def strike(self, blow: Blow) -> None:
        whom = blow.whom % len(self.contenders)
        contender, line = self.contenders[whom], self.contenders[whom].line
        self.harmed[whom] = self.harmed.get(whom, 0) + 1
        self.well_since.pop(whom, None)
        match blow.harm:
            case Harm.FREEZE:
                line.freeze()
            case Harm.CUT:
                line.is_cut = True
            case Harm.DEAF:
                line.is_deaf = True
            case Harm.SLOW:
                line.delays = blow.delays
            case Harm.KILL:
                await contender.kill()
            case Harm.STOP:
                await contender.stop()
            case Harm.REMOVE:
                self._remove_lease()
        await asyncio.sleep(blow.lasts)
        self.harmed[whom] -= 1
        if self.harmed[whom]:
            return
        if not self.contenders[whom].runs:
            self.start(whom)
            return
        line = self.contenders[whom].line
        line.thaw()
        line.is_cut = line.is_deaf = False
        line.delays = (0.0, 0.0)
        self.well_since[whom] = now()

    def _remove_lease(self) -> None:
        self.led_at = now()
        if self.swarm.simulator.list_objects(ObjectKind.CONFIG):
            self.swarm.simulator.remove(ObjectKind.CONFIG, LEASE_NAME)


def now() -> float:
    return asyncio.get_running_loop().time()


async def fought(count: int, plan: list[Blow], seed: int, peace: float) -> Field:
    swarm = InProcessSwarm(Simulator())
    chance = random.Random(seed)  # noqa: S311 - a test's, to be repeated
    ground = Field(swarm, chance, [Contender(swarm, "", seconds=LEASE) for _ in range(count)])
    for whom in range(count):
        ground.start(whom)
    watching = asyncio.create_task(ground.watch())
    struck = []
    await asyncio.sleep(peace)
    ground.longest = 0.0
    for blow in plan:
        await asyncio.sleep(blow.after)
        struck.append(asyncio.create_task(ground.strike(blow)))
    await asyncio.gather(*struck)
    await asyncio.sleep(2 * TAKEOVER)
    watching.cancel()
    for contender in ground.contenders:
        await contender.kill()
    await asyncio.gather(watching, return_exceptions=True)
    swarm.close()
    return ground


def run(count: int, plan: list[Blow], seed: int, *, peace: float = 0.0) -> Field:
    """`peace` before the first blow is for somebody to make the lease and lead."""
    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        return runner.run(fought(count, plan, seed, peace))


@settings(max_examples=EXAMPLES, deadline=None)
@given(count=st.integers(2, 3), plan=blows(*Harm), seed=st.integers(0, 2**32))
def test_never_may_two_write_at_the_same_instant(count: int, plan: list[Blow], seed: int) -> None:
    assert run(count, plan, seed).most == 1


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    count=st.integers(2, 3),
    plan=blows(Harm.FREEZE, Harm.CUT, Harm.KILL, Harm.STOP),
    seed=st.integers(0, 2**32),
)
def test_where_one_is_well_somebody_leads_within_a_lease_and_two_seconds(count: int, plan: list[Blow], seed: int) -> None:
    assert run(count, plan, seed, peace=TAKEOVER).longest <= TAKEOVER
