"""`x-prodbreaker` becomes typed policy; what is left out takes the default."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from controller.core.compose import ignorable
from controller.model.policy import (
    AlertAction,
    AlertRule,
    BudgetPolicy,
    Condition,
    DriftMode,
    RollbackPolicy,
    ServicePolicy,
    StackPolicy,
)
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


def test_conditions_are_read_in_order_with_the_time_that_each_must_hold() -> None:
    conditions = _policy(
        "rollback: {keep: 3, conditions: [{query: 'up == 0', for: 1m30s}, {query: 'a > 1'}, {query: 'up == 0'}]}"
    )
    assert conditions.rollback == RollbackPolicy(
        keep=3,
        conditions=(Condition("up == 0", timedelta(seconds=90)), Condition("a > 1"), Condition("up == 0")),
    )


def test_a_query_takes_variables_and_keeps_its_lines() -> None:
    above = "services:\n a:\n  image: x\n  x-prodbreaker:\n   rollback:\n    conditions:\n    - query: |\n"
    query = '       rate(errors{service="${S}",path=~"/a$$"}[1m])\n       > ${LIMIT:-0.05}\n'
    (condition,) = load(above + query, env={"S": "web"}).services["a"].policy.rollback.conditions
    assert condition.query == 'rate(errors{service="web",path=~"/a$"}[1m])\n> 0.05\n'


@pytest.mark.parametrize(
    ("condition", "place", "reason"),
    [
        ("{query: ''}", "[0].query", "it is empty"),
        ("{query: '  '}", "[0].query", "must be a PromQL expression"),
        (f"{{query: {'x' * 2001}}}", "[0].query", "must be 2,000 characters at most; this has 2,001"),
        ("{query: 'up{a=\"$${B}\"}'}", "[0].query", "holds ${ where variables are filled in already"),
        ("{query: 5}", "[0].query", "must be a string; this is a number, quote it"),
        ("{for: 5s}", "[0].query", "is required"),
        ("{query: up, for: -1s}", "[0].for", "must be 0s or longer"),
        ("{query: up, for: soon}", "[0].for", "not a duration"),
        ("{query: up, wait: 5s}", "[0].wait", "not a key"),
        ("up", "[0]", "must be a mapping"),
    ],
)
def test_a_condition_that_cannot_be_is_refused_at_its_place(condition: str, place: str, reason: str) -> None:
    found = problem(f"services: {{a: {{image: x, x-prodbreaker: {{rollback: {{conditions: [{condition}]}}}}}}}}")
    assert found.path == f"services.a.x-prodbreaker.rollback.conditions{place}"
    assert reason in found.reason


def test_a_query_of_full_length_is_read_and_those_of_several_files_are_appended() -> None:
    first, second = (
        f"services: {{a: {{image: x, x-prodbreaker: {{rollback: {{conditions: [{{query: {query}}}]}}}}}}}}"
        for query in ("x" * 2000, "y")
    )
    assert [c.query for c in load(first, second).services["a"].policy.rollback.conditions] == ["x" * 2000, "y"]


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
