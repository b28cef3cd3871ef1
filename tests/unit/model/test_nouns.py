"""The little that the nouns know by themselves."""

from __future__ import annotations

import pytest

from controller.errors import ManifestError, ProdBreakerError, RefusedError, SwarmError
from controller.model.plan import Action, ObjectKind, Plan, Reason, Verb
from controller.model.problem import Problem, Severity
from controller.model.spec import DesiredContent, symbolic_id
from controller.model.status import Key
from tests.support.specs import service

CANARY = "S3CR3T-nouns"


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (Problem("a.yml", 3, 7, "services.web.ports[0]", "no port"), "a.yml:3:7: services.web.ports[0]: no port"),
        (Problem("a.yml", 1, 1, "", "is empty"), "a.yml:1:1: is empty"),
        (Problem("a.yml", 1, 1, "x", "odd", Severity.WARNING), "a.yml:1:1: warning: x: odd"),
    ],
)
def test_a_problem_says_where_and_why(problem: Problem, expected: str) -> None:
    assert str(problem) == expected


def test_a_manifest_error_tells_every_problem_one_a_line() -> None:
    problems = [Problem("a.yml", 1, 1, "", "one"), Problem("a.yml", 2, 1, "", "two")]

    error = ManifestError(problems)

    assert isinstance(error, ProdBreakerError)
    assert error.problems == tuple(problems)
    assert str(error) == "a.yml:1:1: one\na.yml:2:1: two"


def test_an_engines_refusal_keeps_its_status_and_operation() -> None:
    error = RefusedError("no", operation="create service", status=400)

    assert isinstance(error, SwarmError)
    assert (str(error), error.operation, error.status) == ("no", "create service", 400)


def test_keys_print_as_people_write_them() -> None:
    assert [str(Key("shop", "web")), str(Key("shop"))] == ["shop/web", "shop"]


def test_a_plan_is_empty_when_it_writes_nothing() -> None:
    action = Action(Verb.REMOVE, ObjectKind.SERVICE, "shop_web", Reason.NOT_DECLARED)

    assert Plan("shop").is_empty
    assert not Plan("shop", (action,)).is_empty


def test_a_symbolic_id_is_told_from_a_real_one() -> None:
    assert symbolic_id("shop_x") == "id:shop_x"


def test_secrets_stay_out_of_what_is_printed() -> None:
    secret = DesiredContent("s", external=False, body={"Data": CANARY}, content=CANARY.encode())
    action = Action(Verb.CREATE, ObjectKind.SERVICE, "s", Reason.MISSING, body={"Env": [CANARY]})

    assert CANARY not in repr([secret, action, service(container={"Env": [f"A={CANARY}"]})])
