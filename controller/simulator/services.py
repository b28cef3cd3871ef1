"""Writes of services, with the manager's rules."""

from __future__ import annotations

from dataclasses import replace

from controller.model.spec import Json
from controller.simulator import defaults, validation
from controller.simulator.orchestrator import Orchestrator
from controller.simulator.records import Mode, Service, UpdateState, UpdateStatus
from controller.simulator.refusals import RefusalError, not_found, out_of_sequence, rpc
from controller.simulator.scheduler import Scheduler
from controller.simulator.store import Store

_JOBS = (Mode.REPLICATED_JOB, Mode.GLOBAL_JOB)


class Services:
    def __init__(self, store: Store, orchestrator: Orchestrator, scheduler: Scheduler) -> None:
        self._store = store
        self._orchestrator = orchestrator
        self._scheduler = scheduler

    def create(self, body: Json, *, api: defaults.ApiVersion) -> str:
        spec = defaults.complete_service(body, self._network_id, api=api)
        self._check_networks(spec)
        validation.check_service(self._store, spec, current=None)
        if self._store.services.by_name(spec["Name"]) is not None:
            raise rpc("AlreadyExists", f"name conflicts with an existing object: service {spec['Name']} already exists")
        service = Service(id=self._store.new_id(), spec=spec)
        if service.mode in _JOBS:
            service = replace(service, job_iteration=0, job_started_ns=self._store.timeline.now_ns)
        return self._store.write_service(service).id

    def update(self, reference: str, version: int, body: Json, *, api: defaults.ApiVersion, rollback: str = "") -> None:
        """Replace the spec; with `rollback="previous"` swap it with the previous one, whatever the body says."""
        current = self.get(reference)
        spec = defaults.complete_service(body, self._network_id, api=api)
        self._check_networks(spec)
        if rollback not in ("", "none", "previous"):
            raise RefusalError(500, f"unrecognized rollback option {rollback}")
        validation.check_service(self._store, spec, current=current)
        validation.check_mode_and_name(spec, current)
        now = self._store.timeline.now_ns
        if rollback == "previous":
            if current.previous_spec is None:
                raise rpc("FailedPrecondition", f"service {current.id} does not have a previous spec")
            new = replace(
                current,
                spec=current.previous_spec,
                spec_version=current.previous_spec_version,
                update_status=UpdateStatus(
                    state=UpdateState.ROLLBACK_STARTED, message="manually requested rollback", started_ns=now
                ),
            )
        else:
            new = replace(current, spec=spec, spec_version=version, update_status=None)
        if version != current.version:
            raise out_of_sequence()
        new = replace(new, previous_spec=current.spec, previous_spec_version=current.spec_version)
        if new.job_iteration is not None:
            new = replace(new, job_iteration=new.job_iteration + 1, job_started_ns=now)
        self._store.write_service(new)

    def remove(self, reference: str) -> None:
        service = self.get(reference)
        self._store.drop(self._store.services, service)
        self._scheduler.service_removed(service)
        self._orchestrator.service_removed(service)

    def get(self, reference: str) -> Service:
        service = self._store.services.get(reference)
        if service is None:
            raise not_found("service", reference)
        return service

    def _network_id(self, target: str) -> str:
        network = self._store.networks.get(target) or self._store.predefined.get(target)
        if network is None:
            raise RefusalError(500, f"network {target} not found")
        if network.predefined:
            hidden = self._store.predefined_of_swarm(network.name)
            if hidden is None:
                reason = f"could not find the corresponding predefined swarm network: network {network.name} not found"
                raise RefusalError(404, reason)
            return hidden.id
        if network.scope != "swarm":
            reason = "Only networks scoped to the swarm can be used, such as those created with the overlay driver."
            raise RefusalError(403, f"The network {network.name} cannot be used with services. {reason}")
        return network.id

    def _check_networks(self, spec: Json) -> None:
        for attachment in spec["TaskTemplate"].get("Networks", ()):
            network = self._store.networks.rows.get(attachment["Target"])
            if network is not None and network.spec.get("Ingress"):
                raise rpc("InvalidArgument", f'Service cannot be explicitly attached to the ingress network "{network.name}"')
