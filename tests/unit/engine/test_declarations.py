"""The last good reading of every manifest, and whose key a live service's name is."""

from __future__ import annotations

import pytest

from controller.engine.declarations import Declarations
from controller.errors import ManifestError
from controller.model.problem import Problem
from controller.model.status import Key
from tests.support.specs import service, stack

SHOP = stack(service("web"), service("db"))


def fault(reason: str = "broken") -> ManifestError:
    return ManifestError([Problem("shop.yml", 1, 1, "", reason)])


@pytest.fixture
def declared() -> Declarations:
    declarations = Declarations()
    declarations.accept(SHOP)
    return declarations


def test_a_reading_is_news_only_when_it_declares_something_else(declared: Declarations) -> None:
    assert not declared.accept(stack(service("web"), service("db")))
    assert declared.accept(stack(service("web")))
    assert declared.find(Key("shop", "db")) is None


def test_a_fault_keeps_the_last_good_reading_and_is_news_once(declared: Declarations) -> None:
    assert declared.refuse("shop", fault())
    assert not declared.refuse("shop", fault())
    assert declared.refuse("shop", fault("broken otherwise"))

    assert declared.stacks["shop"] is SHOP
    assert declared.errors == {"shop": "shop.yml:1:1: broken otherwise"}


def test_a_good_reading_ends_the_fault_also_when_nothing_else_changed(declared: Declarations) -> None:
    declared.refuse("shop", fault())

    assert not declared.accept(SHOP)
    assert declared.errors == {}


def test_a_manifest_that_never_was_good_declares_nothing() -> None:
    declarations = Declarations()
    declarations.refuse("shop", fault())

    assert declarations.keys() == []
    assert not declarations.forget("shop")
    assert declarations.errors == {}


def test_what_is_forgotten_is_not_declared_any_more(declared: Declarations) -> None:
    assert declared.forget("shop")
    assert not declared.forget("shop")
    assert declared.find(Key("shop", "web")) is None
    assert declared.owner("shop_web") is None


def test_a_key_finds_its_service_or_its_stack(declared: Declarations) -> None:
    assert declared.find(Key("shop", "web")) == (SHOP, SHOP.services["web"])
    assert declared.find(Key("shop")) == (SHOP, None)
    assert declared.find(Key("other")) is None


def test_keys_of_shared_objects_come_first(declared: Declarations) -> None:
    declared.accept(stack(service("x", stack="more"), name="more"))

    assert declared.keys() == [Key("shop"), Key("more"), Key("shop", "web"), Key("shop", "db"), Key("more", "x")]
    assert declared.keys("more") == [Key("more"), Key("more", "x")]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("shop_web", Key("shop", "web")),
        ("shop_stray", Key("shop")),
        ("shop_eu_web", Key("shop_eu", "web")),
        ("shop_eu_stray", Key("shop_eu")),
        ("shopping", None),
        ("", None),
    ],
)
def test_a_live_services_name_belongs_to_the_stack_with_the_longest_name(
    declared: Declarations, name: str, expected: Key | None
) -> None:
    declared.accept(stack(service("web", stack="shop_eu"), name="shop_eu"))

    assert declared.owner(name) == expected
