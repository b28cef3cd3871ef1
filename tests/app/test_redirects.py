"""Redirects: where they lead, what they leave, and what a change does to what Redis remembers."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.app.stage import TARGET, Stage


@pytest.mark.parametrize("times", [1, 3])
def test_each_redirect_leads_to_the_url_and_leaves_one_click(stage: Stage, times: int) -> None:
    url = stage.url()
    answers = [stage.visit(url) for _ in range(times)]
    assert [(answer.status_code, answer.headers["Location"]) for answer in answers] == [(302, TARGET)] * times
    clicks = stage.events(url_id=url["id"], event_type="clicked")
    assert [(click["user_id"], click["details"]) for click in clicks] == [
        (url["user_id"], {"short_code": url["short_code"]})
    ] * times


def test_an_inactive_url_is_gone_and_leaves_no_click(stage: Stage) -> None:
    url = stage.url(is_active=False)
    assert [stage.visit(url).status_code for _ in range(2)] == [410, 410]  # the second from Redis
    assert stage.events(event_type="clicked") == []


def test_an_unknown_code_is_not_found_and_leaves_no_click(stage: Stage, client: FlaskClient) -> None:
    assert [client.get("/nobody").status_code for _ in range(2)] == [404, 404]
    assert stage.events() == []


@pytest.mark.parametrize("code", ["a", "x" * 33, "a.b.c", "favicon.ico", "%00abc", "a%20b"])
def test_what_can_be_no_code_is_not_found(client: FlaskClient, code: str) -> None:
    assert client.get(f"/{code}").status_code == 404


def test_a_new_target_holds_from_the_next_redirect_on(stage: Stage, client: FlaskClient) -> None:
    url = stage.url()
    stage.visit(url)
    client.put(f"/urls/{url['id']}", json={"original_url": "https://example.org/new"})
    assert [stage.visit(url).headers["Location"] for _ in range(2)] == ["https://example.org/new"] * 2


def test_a_url_that_was_switched_off_is_gone_from_the_next_redirect_on_and_comes_back(stage: Stage, client: FlaskClient) -> None:
    url = stage.url()
    stage.visit(url)
    client.put(f"/urls/{url['id']}", json={"is_active": False})
    assert stage.visit(url).status_code == 410
    client.put(f"/urls/{url['id']}", json={"is_active": True})
    assert stage.visit(url).status_code == 302


@pytest.mark.parametrize("what", ["url", "user"])
def test_a_deleted_url_is_not_found_from_the_next_redirect_on(stage: Stage, client: FlaskClient, what: str) -> None:
    url = stage.url()
    stage.visit(url)
    client.delete(f"/urls/{url['id']}" if what == "url" else f"/users/{url['user_id']}")
    assert stage.visit(url).status_code == 404


def test_a_code_that_was_asked_for_before_it_was_made_leads_to_its_url(stage: Stage, client: FlaskClient) -> None:
    assert client.get("/my-code").status_code == 404
    stage.url(short_code="my-code")
    assert client.get("/my-code").status_code == 302


def test_the_target_is_sent_as_it_was_given_but_for_what_a_header_cannot_hold(stage: Stage) -> None:
    odd = stage.url(original_url="HTTPS://Example.com:443/A//b/../c?q=%7e&x=ü%20")
    for _ in range(2):  # the second from Redis
        assert stage.visit(odd).headers["Location"] == "https://example.com:443/A//b/../c?q=%7e&x=%C3%BC%20"


def test_a_target_that_is_not_ascii_goes_out_encoded(stage: Stage) -> None:
    url = stage.url(original_url="https://bücher.example/é?q=ü")
    assert [stage.visit(url).headers["Location"] for _ in range(2)] == ["https://xn--bcher-kva.example/%C3%A9?q=%C3%BC"] * 2
