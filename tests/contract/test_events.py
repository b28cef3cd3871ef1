"""What the event stream tells of the whole Swarm, and in what order."""

from __future__ import annotations

from tests.contract.target import SECOND, Target


def test_a_service_is_told_from_its_creation_to_its_end(swarm: Target) -> None:
    since = swarm.now()
    swarm.create(swarm.spec("s"))
    swarm.update(swarm.spec("s", Labels={"a": "b"}))
    swarm.must("DELETE", "/services/s")
    assert swarm.events(since, names=["s"]) == [("service", "create", {}), ("service", "update", {}), ("service", "remove", {})]


def test_an_update_tells_the_image_and_the_replicas_that_it_changed(swarm: Target) -> None:
    nowhere = {"Placement": {"Constraints": ["node.labels.none==1"]}}
    swarm.create(swarm.spec("s", template=nowhere))
    since = swarm.now()
    changed = swarm.spec("s", replicas=2, container={"Image": "other:1"}, template=nowhere)
    assert swarm.update(changed).status == 200
    assert swarm.events(since, names=["s"])[0] == (
        "service",
        "update",
        {"image.old": swarm.image, "image.new": "other:1", "replicas.old": "0", "replicas.new": "2"},
    )


def test_the_allocator_adds_an_update_of_its_own_where_ports_or_addresses_change(swarm: Target) -> None:
    create: tuple[str, str, dict[str, str]] = ("service", "create", {})
    update: tuple[str, str, dict[str, str]] = ("service", "update", {})
    swarm.network("n")
    networks = {"Networks": [{"Target": "n"}]}
    cases = {
        "plain": (swarm.spec("plain"), [create]),
        "vip-alone": (swarm.spec("vip-alone", EndpointSpec={"Mode": "vip"}), [create]),
        "ports": (swarm.spec("ports", EndpointSpec={"Ports": [{"TargetPort": 80, "PublishedPort": 8071}]}), [create, update]),
        "networked": (swarm.spec("networked", template=networks), [create, update]),
        "dnsrr": (swarm.spec("dnsrr", template=networks, EndpointSpec={"Mode": "dnsrr"}), [create]),
    }
    for name, (spec, expected) in cases.items():
        since = swarm.now()
        swarm.create(spec)
        told = swarm.wait(lambda: swarm.events(since, names=[name]), lambda seen: len(seen) >= len(expected))  # noqa: B023 - called at once
        assert told == expected, name
    since = swarm.now()
    swarm.update(swarm.spec("ports", EndpointSpec={"Ports": [{"TargetPort": 80, "PublishedPort": 8072}]}))
    told = swarm.wait(lambda: swarm.events(since, names=["ports"]), lambda seen: len(seen) >= 2)
    assert told == [update, update]
    assert swarm.service("ports")["Endpoint"]["Ports"][0]["PublishedPort"] == 8072


def test_a_network_is_told_twice_when_it_is_made(swarm: Target) -> None:
    since = swarm.now()
    swarm.network("n")
    told = swarm.wait(lambda: swarm.events(since, names=["n"]), lambda seen: len(seen) == 2)
    assert told == [("network", "create", {}), ("network", "update", {})]
    swarm.must("DELETE", "/networks/n")
    assert swarm.events(since, names=["n"])[2:] == [("network", "remove", {})]


def test_configs_and_secrets_are_told(swarm: Target) -> None:
    for kind in ("configs", "secrets"):
        since = swarm.now()
        swarm.content(kind, "c")
        version = swarm.must("GET", f"/{kind}/c")["Version"]["Index"]
        swarm.must("POST", f"/{kind}/c/update?version={version}", {"Name": "c", "Labels": {"a": "b"}})
        swarm.must("DELETE", f"/{kind}/c")
        assert swarm.events(since, names=["c"]) == [(kind[:-1], action, {}) for action in ("create", "update", "remove")]


def test_a_nodes_availability_is_told(swarm: Target) -> None:
    node = swarm.must("GET", "/nodes")[0]
    since = swarm.now()
    for availability in ("pause", "active"):
        version = swarm.must("GET", f"/nodes/{node['ID']}")["Version"]["Index"]
        spec = {**node["Spec"], "Availability": availability}
        swarm.must("POST", f"/nodes/{node['ID']}/update?version={version}", spec)
    told = [attributes for _, _, attributes in swarm.events(since, names=[node["Description"]["Hostname"]]) if attributes]
    assert told == [
        {"availability.old": "active", "availability.new": "pause"},
        {"availability.old": "pause", "availability.new": "active"},
    ]


def test_the_states_of_an_update_are_told(swarm: Target) -> None:
    swarm.start(swarm.spec("s", replicas=1, UpdateConfig={"Monitor": SECOND // 5}))
    since = swarm.now()
    swarm.update(swarm.spec("s", replicas=1, container={"Env": ["A=1"]}, UpdateConfig={"Monitor": SECOND // 5}))
    swarm.wait_for_state("s", "completed")
    assert swarm.events(since, names=["s"]) == [
        ("service", "update", {}),
        ("service", "update", {"updatestate.new": "updating"}),
        ("service", "update", {"updatestate.old": "updating", "updatestate.new": "completed"}),
    ]


def test_a_container_is_told_by_its_node_with_the_names_of_its_task_and_service(swarm: Target) -> None:
    since = swarm.now()
    [task] = swarm.start(swarm.spec("told", replicas=1, container={"Labels": {"own": "1"}}))
    told = [e for e in swarm.told(since, kind="container") if e["Actor"]["Attributes"]["com.docker.swarm.service.name"] == "told"]
    assert [event["Action"] for event in told] == ["create", "start"]
    actor = told[-1]["Actor"]
    assert actor["ID"] == task["Status"]["ContainerStatus"]["ContainerID"] == told[-1]["id"]
    attributes = {key: value for key, value in actor["Attributes"].items() if key != "made.as"}  # the image's own label
    assert attributes == {
        "com.docker.swarm.node.id": task["NodeID"],
        "com.docker.swarm.service.id": task["ServiceID"],
        "com.docker.swarm.service.name": "told",
        "com.docker.swarm.task": "",
        "com.docker.swarm.task.id": task["ID"],
        "com.docker.swarm.task.name": f"told.1.{task['ID']}",
        "image": swarm.image,
        "name": f"told.1.{task['ID']}",
        "own": "1",
    }
    assert told[-1]["scope"] == "local"


def test_the_past_is_told_only_to_those_who_ask_since_when(swarm: Target) -> None:
    swarm.content("configs", "before")
    since = swarm.now()
    swarm.content("configs", "after")
    assert swarm.events(since, names=["before", "after"]) == [("config", "create", {})]


def test_no_more_than_the_last_256_events_are_kept(swarm: Target) -> None:
    swarm.content("configs", "c")
    version = swarm.must("GET", "/configs/c")["Version"]["Index"]
    for _ in range(260):
        swarm.must("POST", f"/configs/c/update?version={version}", {"Name": "c"})
        version = swarm.must("GET", "/configs/c")["Version"]["Index"]
    told = swarm.told("0")
    assert len(told) == 256
    assert (told[-1]["Type"], told[-1]["Action"]) == ("config", "update")
