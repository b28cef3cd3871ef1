"""`x-prodbreaker` becomes typed policy; what is left out takes the default."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from controller.core.compose import ignorable
from controller.model.policy import AlertAction, AlertRule, BudgetPolicy, DriftMode, RollbackPolicy, ServicePolicy, StackPolicy
from controller.stackfile import IGNORABLE_FIELDS
from controller.stackfile.policy import KEYED_FIELDS
from tests.unit.stackfile.memory import load, problem


def _policy(fields: str, *, env: dict[str, str] | None = None) -> ServicePolicy:
    return load(f"services: {{a: {{image: x, x-prodbreaker: {{{fields}}}}}}}", env=env).services["a"].policy


def test_without_a_policy_the_defaults_hold() -> None:
    stack = load("services: {a: {image: x}}")
    assert stack.services["a"].policy == ServicePolicy() == _policy("")
    assert stack.policy == StackPolicy(prune=False, paused=False)


def test_a_whole_policy() -> None:
    policy = _policy(
        "drift: report, ignore: [deploy.replicas, environment.DEBUG, labels.com.example.a, deploy.replicas],"
        " rollback: {deadline: 1m30s, min_healthy: 0s, keep: 3}, budget: {actions: 2, per: 1h},"
        " alerts: [{match: {alertname: A, severity: page}, action: rollback, for: 30s, cooldown: 1m}, {match: {a: b}}]"
    )
    assert policy == ServicePolicy(
        drift=DriftMode.REPORT,
        ignore=("deploy.replicas", "environment.DEBUG", "labels.com.example.a"),
        rollback=RollbackPolicy(deadline=timedelta(seconds=90), min_healthy=timedelta(0), keep=3),
        budget=BudgetPolicy(actions=2, per=timedelta(hours=1)),
        alerts=(
            AlertRule(
                match={"alertname": "A", "severity": "page"},
                action=AlertAction.ROLLBACK,
                wait=timedelta(seconds=30),
                cooldown=timedelta(minutes=1),
            ),
            AlertRule(match={"a": "b"}),
        ),
    )


def test_parts_of_a_policy_leave_the_rest_at_its_default() -> None:
    policy = _policy("rollback: {keep: 3}, budget: {per: 1m}")
    assert policy.rollback == RollbackPolicy(keep=3)
    assert policy.budget == BudgetPolicy(per=timedelta(minutes=1))


@pytest.mark.parametrize("mode", DriftMode)
def test_every_drift_mode_is_read(mode: DriftMode) -> None:
    assert _policy(f"drift: {mode.value}").drift is mode


@pytest.mark.parametrize("action", AlertAction)
def test_every_alert_action_is_read(action: AlertAction) -> None:
    assert _policy(f"alerts: [{{match: {{a: b}}, action: {action.value}}}]").alerts[0].action is action


def test_a_stack_policy() -> None:
    assert load("x-prodbreaker: {prune: true, paused: true}").policy == StackPolicy(prune=True, paused=True)
    assert load("x-prodbreaker: {}").policy == StackPolicy()


def test_numbers_and_booleans_of_a_policy_may_come_from_variables() -> None:
    assert _policy("rollback: {keep: '${K}'}, budget: {actions: '${K}'}, drift: '${D:-ignore}'", env={"K": "4"}) == ServicePolicy(
        drift=DriftMode.IGNORE, rollback=RollbackPolicy(keep=4), budget=BudgetPolicy(actions=4)
    )
    assert load("x-prodbreaker: {prune: '${P:-on}', paused: '${Q:-off}'}").policy == StackPolicy(prune=True)


@pytest.mark.parametrize("field", sorted(IGNORABLE_FIELDS) + [f"{field}.KEY" for field in sorted(KEYED_FIELDS)])
def test_what_may_be_ignored_is_what_the_comparison_can_leave_alone(field: str) -> None:
    assert _policy(f"ignore: ['{field}']").ignore == (field,)
    assert ignorable(field)


@pytest.mark.parametrize("field", ["", "environment.", "deploy", "deploy.resources.limits.memory", "ports.0", "build", "image.x"])
def test_what_the_comparison_cannot_leave_alone_is_refused(field: str) -> None:
    assert not ignorable(field)
    assert problem(f"services: {{a: {{image: x, x-prodbreaker: {{ignore: ['{field}']}}}}}}").path.endswith("ignore[0]")


def test_other_extensions_are_left_alone() -> None:
    assert (
        load("x-a: {b: [1]}\nservices: {a: {image: x, x-b: 5}}\nvolumes: {v: {x-c: 1}}").services["a"].policy == ServicePolicy()
    )


def test_the_users_page_names_every_field_and_default() -> None:
    page = Path(__file__).parents[3].joinpath("docs", "stack-files.md").read_text()
    assert all(f"`{field}`" in page for field in IGNORABLE_FIELDS)
    example = page.partition("```yaml\n")[2].partition("```")[0]
    stack = load(example)
    assert (stack.services["web"].policy, stack.policy) == (ServicePolicy(), StackPolicy())
