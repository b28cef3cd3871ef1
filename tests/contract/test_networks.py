"""Networks."""

from __future__ import annotations

import pytest

from tests.contract.target import Target

VXLAN = "com.docker.network.driver.overlay.vxlanid_list"


def test_a_network_reads_back_with_what_swarm_gave_it(swarm: Target) -> None:
    network_id = swarm.network("n", Labels={"a": "b"}, Attachable=True, Options={"encrypted": ""})
    network = swarm.wait(lambda: swarm.must("GET", "/networks/n"), lambda seen: bool(seen["IPAM"]["Config"]))
    assert (network["Id"], network["Scope"], network["Driver"]) == (network_id, "swarm", "overlay")
    assert (network["Labels"], network["Attachable"], network["Internal"], network["Ingress"]) == ({"a": "b"}, True, False, False)
    assert set(network["Options"]) == {"encrypted", VXLAN}
    assert set(network["IPAM"]["Config"][0]) == {"Subnet", "Gateway"}


def test_a_given_subnet_is_taken(swarm: Target) -> None:
    swarm.network("n", IPAM={"Config": [{"Subnet": "10.77.0.0/24"}]}, Internal=True)
    network = swarm.wait(lambda: swarm.must("GET", "/networks/n"), lambda seen: bool(seen["IPAM"]["Config"]))
    assert network["IPAM"]["Config"] == [{"Subnet": "10.77.0.0/24", "Gateway": "10.77.0.1"}]
    assert (network["Internal"], network["Labels"]) == (True, None)


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"Name": "host"}, 409, "network with name host already exists"),
        ({"Name": "a b"}, 400, "name must be valid as a DNS name component"),
        ({"Name": "n", "IPAM": {"Config": [{"Subnet": "foo"}]}}, 500, "invalid CIDR address: foo"),
        ({"Name": "n", "Ingress": True}, 409, "is already present"),
    ],
)
def test_a_network_that_cannot_be_is_refused(swarm: Target, body: dict[str, object], status: int, reason: str) -> None:
    answer = swarm.call("POST", "/networks/create", {"Driver": "overlay", **body})
    assert (answer.status, reason in answer.message) == (status, True), answer


def test_a_second_network_of_one_name_is_a_conflict(swarm: Target) -> None:
    swarm.network("n")
    answer = swarm.call("POST", "/networks/create", {"Name": "n", "Driver": "overlay"})
    assert (answer.status, answer.message) == (409, "network with name n already exists")


def test_a_network_stays_as_long_as_a_service_uses_it(swarm: Target) -> None:
    network_id = swarm.network("n")
    service_id = swarm.create(swarm.spec("s", template={"Networks": [{"Target": "n"}]}))
    answer = swarm.call("DELETE", "/networks/n")
    assert answer.status == 400
    assert answer.message.endswith(f"FailedPrecondition desc = network {network_id} is in use by service {service_id}")
    swarm.must("DELETE", "/services/s")
    assert swarm.call("DELETE", "/networks/n").status == 204
    assert swarm.call("GET", f"/networks/{network_id}").status == 404  # by its name, another's id that begins so would be found


def test_predefined_networks_cannot_be_removed(swarm: Target) -> None:
    answer = swarm.call("DELETE", "/networks/host")
    assert (answer.status, answer.message) == (403, "host is a pre-defined network and cannot be removed")


def test_a_network_of_one_node_cannot_carry_a_service(swarm: Target) -> None:
    swarm.network("n")
    swarm.start(swarm.spec("first", replicas=1, template={"Networks": [{"Target": "n"}]}))  # makes the node have one
    answer = swarm.call("POST", "/services/create", swarm.spec("s", template={"Networks": [{"Target": "docker_gwbridge"}]}))
    assert answer.status == 403
    assert answer.message.startswith("The network docker_gwbridge cannot be used with services.")


def test_an_overlapping_subnet_is_taken_and_its_tasks_stay_new_without_a_word(swarm: Target) -> None:
    subnet = {"Config": [{"Subnet": "10.78.0.0/24"}]}
    swarm.network("first", IPAM=subnet)
    swarm.network("second", IPAM=subnet)
    assert swarm.must("GET", "/networks/second")["IPAM"]["Config"] is None
    swarm.create(swarm.spec("s", replicas=1, template={"Networks": [{"Target": "second"}]}))
    swarm.start(swarm.spec("other", replicas=1))
    assert [(task["Status"]["State"], task["Status"].get("Err")) for task in swarm.tasks("s")] == [("new", None)]


@pytest.mark.parametrize("name", ["host", "bridge"])
def test_a_service_on_a_nodes_own_network_is_on_swarms_stand_in_for_it_that_no_list_shows(swarm: Target, name: str) -> None:
    swarm.create(swarm.spec("s", template={"Networks": [{"Target": name}]}))
    [attachment] = swarm.service("s")["Spec"]["TaskTemplate"]["Networks"]
    hidden = swarm.must("GET", f"/networks/{attachment['Target']}")
    assert hidden == swarm.must("GET", f"/networks/{name}?scope=swarm")
    assert (hidden["Name"], hidden["Scope"], hidden["Driver"], hidden["IPAM"]["Config"]) == (name, "swarm", name, [])
    assert hidden["Labels"] == {"com.docker.swarm.predefined": "true"}
    assert swarm.must("GET", f"/networks/{name}")["Scope"] == "local"
    assert hidden["Id"] not in {network["Id"] for network in swarm.listed("networks")}
    endpoint = swarm.wait(lambda: swarm.service("s")["Endpoint"], lambda seen: "VirtualIPs" in seen)
    assert endpoint["VirtualIPs"] == [{"NetworkID": hidden["Id"]}]


def test_lists_are_filtered_by_label_name_and_scope(swarm: Target) -> None:
    swarm.network("front-1", Labels={"k": "v"})
    swarm.network("front-2")

    def names(**filters: list[str]) -> set[str]:
        return {entry["Name"] for entry in swarm.listed("networks", filters)}

    assert names(label=["k=v"]) == {"front-1"}
    assert names(name=["front-1"]) == {"front-1"}
    assert names(name=["front-"]) == set()
    assert names(name=["ridg"]) >= {"bridge", "docker_gwbridge"}
    assert names(scope=["swarm"]) == {"ingress", "front-1", "front-2"}
    assert {"bridge", "host", "none", "ingress"} <= names()
