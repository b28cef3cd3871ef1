"""The state machine: what may happen to a small Swarm and its controllers, in any order, and what must hold all the while."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from controller.model.plan import ObjectKind
from controller.model.spec import Json
from tests.machines.ground import WRITE_FAULTS, Ground
from tests.machines.peace import keep_peace, quiesce
from tests.machines.scenery import GOOD, IMAGES, KEYS, WATCHES, Want, Wishes
from tests.support.specs import STACK

TOTALS: Counter[str] = Counter()  # of all runs of this process

numbers = st.integers(0, 2)
images = st.sampled_from(tuple(IMAGES))
bad_images = st.sampled_from(sorted(set(IMAGES) - set(GOOD)))
good_images = st.sampled_from(GOOD)
wants = st.builds(
    Want,
    image=good_images | images,
    replicas=st.integers(0, 3),
    mode=st.sampled_from(("on", "off")),
    failure_action=st.sampled_from(("pause", "rollback", "continue")),
    order=st.sampled_from(("stop-first", "start-first")),
    has_config=st.booleans(),
    watch=st.sampled_from(WATCHES),
)


class SwarmMachine(RuleBasedStateMachine):
    """One run: a few controllers, a few nodes, up to three services, and everything that may happen to them."""

    ground: Ground

    @initialize(
        nodes=st.integers(1, 3),
        controllers=st.integers(1, 2),
        has_lease=st.booleans(),
        services=st.lists(wants, min_size=1, max_size=3),
    )
    def begin(self, nodes: int, controllers: int, *, has_lease: bool, services: list[Want]) -> None:
        wishes = Wishes(dict(zip(KEYS, services, strict=False)))
        self.ground = Ground(nodes=nodes, controllers=controllers, has_lease=has_lease or controllers > 1, wishes=wishes)
        self.logger = logging.getLogger("prodbreaker")
        self.logger.addHandler(self.ground.laws.listener)
        self.logger.setLevel(logging.DEBUG)
        TOTALS["runs"] += 1
        self.ground.pass_time(8.0)

    # The manifest

    @rule(number=numbers, image=images)
    def edit_the_image(self, number: int, image: str) -> None:
        self._want(number, image=image)

    @rule(number=numbers, image=images, seconds=st.sampled_from((1.0, 12.0, 45.0)))
    def roll_out(self, number: int, image: str, seconds: float) -> None:
        """Edit the image once what runs has had the time to prove itself, so that there is something to go back to."""
        self._roll_out(number, seconds, image=image)

    @rule(number=numbers, image=bad_images, replicas=st.integers(1, 3), seconds=st.sampled_from((1.0, 12.0, 45.0)))
    def roll_out_what_is_bad(self, number: int, image: str, replicas: int, seconds: float) -> None:
        """After an edit that is good, so that this very run sees a way back."""
        self._roll_out(number, 2.0, image="good:1", replicas=replicas, watch="alert" if image == "noisy:1" else "")
        self._roll_out(number, seconds, image=image)

    @rule(number=numbers, mode=st.sampled_from(("on", "off", "auto")))
    def edit_the_environment(self, number: int, mode: str) -> None:
        self._want(number, mode=mode)

    @rule(number=numbers, replicas=st.integers(0, 3))
    def edit_the_replicas(self, number: int, replicas: int) -> None:
        self._want(number, replicas=replicas)

    @rule(config=st.sampled_from(("one", "two", "three")))
    def edit_the_config(self, config: str) -> None:
        self.ground.declare(replace(self.ground.wishes, config=config))

    @rule(number=numbers, want=wants)
    def declare_a_service(self, number: int, want: Want) -> None:
        services = {**self.ground.wishes.services, KEYS[number]: want}
        self.ground.declare(replace(self.ground.wishes, services=services))

    @precondition(lambda self: len(self.ground.wishes.services) > 1)
    @rule(number=numbers)
    def declare_a_service_no_more(self, number: int) -> None:
        gone = self.ground.key(number)
        services = {key: want for key, want in self.ground.wishes.services.items() if key != gone}
        self.ground.declare(replace(self.ground.wishes, services=services))

    # By hand

    @rule(number=numbers, replicas=st.integers(0, 3))
    def scale_by_hand(self, number: int, replicas: int) -> None:
        self._meddle(number, lambda spec: {**spec, "Mode": {"Replicated": {"Replicas": replicas}}})

    @rule(number=numbers, image=images)
    def set_the_image_by_hand(self, number: int, image: str) -> None:
        self._meddle(number, lambda spec: with_container(spec, Image=image))

    @rule(number=numbers)
    def set_the_environment_by_hand(self, number: int) -> None:
        self._meddle(number, lambda spec: with_container(spec, Env=["MODE=by hand"]))

    @rule(number=numbers, times=st.integers(2, 5), pause=st.sampled_from((3.0, 12.0)))
    def meddle_repeatedly(self, number: int, times: int, pause: float) -> None:
        self.ground.repeatedly(self.ground.key(number), with_label, times=times, pause=pause)

    @rule(number=numbers)
    def remove_by_hand(self, number: int) -> None:
        self.ground.remove(self.ground.key(number))

    @rule(number=numbers)
    def roll_back_by_hand(self, number: int) -> None:
        self.ground.meddle(self.ground.key(number), lambda spec: spec, rollback="previous")

    @rule(number=numbers, image=images)
    def race_a_write(self, number: int, image: str) -> None:
        """Somebody updates a service while a write of a controller is on its way."""
        self.ground.races.append(lambda: self._meddle(number, lambda spec: with_container(spec, Image=image)))

    # Faults

    @rule(number=numbers, count=st.integers(1, 3))
    def fail_tasks(self, number: int, count: int) -> None:
        self.ground.laws.is_blamable = True
        live = self.ground.live(self.ground.key(number))
        if live is not None:
            for task in self.ground.swarm.running(live.name)[:count]:
                self.ground.swarm.kill(task.id)

    @precondition(lambda self: self.ground.nodes > 1)
    @rule(number=st.integers(2, 3))
    def lose_a_node(self, number: int) -> None:
        self._lose(number)

    @precondition(lambda self: self.ground.nodes > 1)
    @rule(number=numbers, node=st.integers(2, 3), seconds=st.sampled_from((11.0, 20.0, 30.0)))
    def lose_a_node_and_meddle(self, number: int, node: int, seconds: float) -> None:
        """Somebody helps while the Swarm moves tasks."""
        self._lose(node)
        self.ground.pass_time(seconds)
        self._meddle(number, with_label)
        self.ground.pass_time(1.0)

    @precondition(lambda self: self.ground.nodes > 1)
    @rule(number=st.integers(2, 3))
    def get_a_node_back(self, number: int) -> None:
        self.ground.swarm.recover_node(f"node{min(number, self.ground.nodes)}")

    @rule(number=st.integers(1, 3), availability=st.sampled_from(("drain", "active")))
    def drain(self, number: int, availability: str) -> None:
        self.ground.laws.is_blamable = True
        self.ground.swarm.set_availability(f"node{min(number, self.ground.nodes)}", availability)

    @rule(image=good_images, kind=st.sampled_from(tuple(IMAGES)))
    def turn_an_image(self, image: str, kind: str) -> None:
        """What ran well before does not from now on, or does again."""
        self.ground.laws.is_blamable = True
        self.ground.swarm.images[image] = IMAGES[kind]

    @rule(is_bad=st.booleans(), is_away=st.booleans())
    def measure(self, *, is_bad: bool, is_away: bool) -> None:
        self.ground.laws.is_blamable = True
        self.ground.signals.is_bad, self.ground.signals.is_away = is_bad, is_away

    @rule(kinds=st.lists(st.sampled_from(tuple(WRITE_FAULTS)), min_size=1, max_size=3))
    def fail_writes(self, kinds: list[str]) -> None:
        self.ground.write_faults.extend(WRITE_FAULTS[kind] for kind in kinds)

    @rule(count=st.integers(1, 3), is_stale=st.booleans())
    def fail_lists(self, count: int, *, is_stale: bool) -> None:
        if is_stale:
            self.ground.stale_lists.extend([self.ground.swarm.list_objects(ObjectKind.SERVICE)] * count)
        else:
            self.ground.list_faults.extend([WRITE_FAULTS["500 before"]] * count)

    @rule(seconds=st.sampled_from((0.5, 5.0, 40.0)))
    def take_the_engine_away(self, seconds: float) -> None:
        self.ground.take_the_engine_away(seconds)

    # Controllers

    @rule(number=numbers, is_orderly=st.booleans())
    def end_a_controller(self, number: int, *, is_orderly: bool) -> None:
        if is_orderly:
            self.ground.stop(number)
        else:
            self.ground.kill(number)

    @rule(number=numbers, keeps_journal=st.booleans())
    def start_a_controller(self, number: int, *, keeps_journal: bool) -> None:
        self.ground.start(number, keeps_journal=keeps_journal)

    @rule(number=numbers, seconds=st.sampled_from((1.0, 9.0, 25.0)), how=st.sampled_from(("frozen", "cut", "deaf")))
    def disturb_a_controller(self, number: int, seconds: float, how: str) -> None:
        self.ground.disturb(number, seconds, how=how)

    @rule(number=numbers, seconds=st.sampled_from((3.0, 9.0, 25.0)))
    def freeze_a_controller_before_its_next_write(self, number: int, seconds: float) -> None:
        self.ground.process(number).stalls.append(seconds)

    # Operators

    @rule(number=st.integers(0, 3))
    def pause(self, number: int) -> None:
        self.ground.pause(self._target(number), paused=True)

    @rule(number=st.integers(0, 3))
    def resume(self, number: int) -> None:
        self.ground.pause(self._target(number), paused=False)

    @rule(number=numbers, to=st.none() | st.integers(1, 3))
    def roll_back(self, number: int, to: int | None) -> None:
        self.ground.roll_back(self.ground.key(number), to=to)

    @rule(number=numbers)
    def release(self, number: int) -> None:
        self.ground.release(self.ground.key(number))

    # Time

    @rule(seconds=st.sampled_from((0.002, 0.1, 1.0, 4.0, 12.0, 35.0, 70.0, 130.0)))
    def wait(self, seconds: float) -> None:
        self.ground.pass_time(seconds)

    # What holds

    @invariant()
    def the_laws_hold(self) -> None:
        if not hasattr(self, "ground"):
            return
        TOTALS["steps"] += 1
        self.ground.inside(self.ground.laws.look)
        assert not self.ground.laws.violations, "\n".join(self.ground.laws.violations)

    def teardown(self) -> None:
        if not hasattr(self, "ground"):
            return
        ground = self.ground
        try:
            if not ground.laws.violations:
                quiesce(ground)
                why = keep_peace(ground)
                ground.laws.look_for_tokens()
                assert not ground.laws.violations, "\n".join(ground.laws.violations)
                assert not why, f"no peace: {why}"
        finally:
            self.logger.removeHandler(ground.laws.listener)
            TOTALS.update(ground.laws.counts)
            TOTALS["virtual seconds"] += int(ground.loop.time())
            ground.close()

    # Means

    def _roll_out(self, number: int, seconds: float, **parts: Any) -> None:
        self.ground.pass_time(14.0)
        self._want(number, **parts)
        self.ground.pass_time(seconds)

    def _lose(self, number: int) -> None:
        self.ground.laws.is_blamable = True
        self.ground.swarm.fail_node(f"node{min(number, self.ground.nodes)}", noticed_after=8.0)

    def _want(self, number: int, **parts: Any) -> None:
        change: Callable[[Want], Want] = lambda want: replace(want, **parts)  # noqa: E731 - typed and passed on
        self.ground.want(self.ground.key(number), change)

    def _meddle(self, number: int, change: Callable[[Json], Json]) -> None:
        self.ground.meddle(self.ground.key(number), change)

    def _target(self, number: int) -> str:
        return STACK if number == len(KEYS) else f"{STACK}/{self.ground.key(number)}"


def with_label(spec: Json) -> Json:
    return {**spec, "Labels": {**spec["Labels"], "by": "hand"}}


def with_container(spec: Json, **parts: Any) -> Json:
    task = spec["TaskTemplate"]
    return {**spec, "TaskTemplate": {**task, "ContainerSpec": {**task["ContainerSpec"], **parts}}}
