"""The contract of the service, call by call and status by status."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.app.stage import TARGET, Stage

USER = {"username": "ann", "email": "ann@example.com"}
MISSING_ID = 987654


def assert_refused(answer: Any, status: int) -> dict[str, Any]:
    """A refusal is JSON of one form, and names the request."""
    assert (answer.status_code, answer.content_type) == (status, "application/json"), answer.text
    body: dict[str, Any] = answer.get_json()
    assert body["error"]
    assert body["message"]
    assert body["request_id"] == answer.headers["X-Request-ID"]
    return body


def test_a_user_is_made_read_changed_and_deleted(client: FlaskClient) -> None:
    made = client.post("/users", json=USER)
    user = made.get_json()
    assert (made.status_code, made.headers["Location"]) == (201, f"/users/{user['id']}")
    assert {key: user[key] for key in USER} == USER
    assert len(user["created_at"]) == len("2026-01-02T03:04:05")
    assert client.get(f"/users/{user['id']}").get_json() == user
    changed = client.put(f"/users/{user['id']}", json={"username": "anna"})
    assert (changed.status_code, changed.get_json()) == (200, {**user, "username": "anna"})
    gone = client.delete(f"/users/{user['id']}")
    assert (gone.status_code, gone.data) == (204, b"")
    assert_refused(client.get(f"/users/{user['id']}"), 404)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"email": "a@example.com"}, "username"),
        ({"username": "a"}, "email"),
        ({"username": 7, "email": "a@example.com"}, "username"),
        ({"username": "a", "email": "nothing"}, "email"),
        ({"username": "a\0b", "email": "a@example.com"}, "username"),
        ({"username": "", "email": "a@example.com"}, "username"),
        ({"username": None, "email": "a@example.com"}, "username"),
    ],
)
def test_a_bad_user_is_refused_with_the_field(client: FlaskClient, body: dict[str, Any], field: str) -> None:
    assert assert_refused(client.post("/users", json=body), 400)["field"] == field
    assert client.get("/users").get_json() == []


@pytest.mark.parametrize(
    ("body", "field"), [({**USER, "email": "b@example.com"}, "username"), ({**USER, "username": "b"}, "email")]
)
def test_a_name_or_address_that_is_taken_is_a_conflict(client: FlaskClient, body: dict[str, Any], field: str) -> None:
    client.post("/users", json=USER)
    assert assert_refused(client.post("/users", json=body), 409)["field"] == field
    other = client.post("/users", json={"username": "c", "email": "c@example.com"}).get_json()
    assert_refused(client.put(f"/users/{other['id']}", json={field: USER[field]}), 409)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        (method, path.format(number))
        for number in (MISSING_ID, 0, 2**31, 2**63, 10**30)
        for method, path in (
            ("GET", "/users/{}"), ("PUT", "/users/{}"), ("DELETE", "/users/{}"), ("GET", "/users/{}/urls"),
            ("GET", "/urls/{}"), ("PUT", "/urls/{}"), ("DELETE", "/urls/{}"), ("GET", "/events/{}"),
        )
    ],
)  # fmt: skip
def test_what_does_not_exist_is_not_found(client: FlaskClient, method: str, path: str) -> None:
    assert_refused(client.open(path, method=method, json={}), 404)


@pytest.mark.parametrize("path", ["/users", "/urls", "/events", "/users/1", "/urls/1"])
@pytest.mark.parametrize("body", ["", "not json", "[]", '"text"', "null", "7", '{"a":', b"\xff\xfe", "[" * 100_000, '{"a":NaN}'])
def test_a_body_that_is_no_json_object_is_a_bad_request(client: FlaskClient, path: str, body: Any) -> None:
    method = "PUT" if path.endswith("1") else "POST"
    assert_refused(client.open(path, method=method, data=body, content_type="application/json"), 400)
    assert_refused(client.open(path, method=method, data=body), 400)


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml"])
def test_a_body_of_another_type_is_unsupported(client: FlaskClient, content_type: str) -> None:
    assert_refused(client.post("/users", data="{}", content_type=content_type), 415)


def test_a_body_that_is_too_large_is_refused_as_such(client: FlaskClient) -> None:
    assert_refused(client.post("/users", data=b"x" * (1024 * 1024 + 1), content_type="application/json"), 413)


@pytest.mark.parametrize(
    ("method", "path"), [("PATCH", "/users"), ("DELETE", "/urls"), ("PUT", "/events/1"), ("POST", "/abcdef")]
)
def test_a_method_that_a_path_does_not_know_is_not_allowed(client: FlaskClient, method: str, path: str) -> None:
    answer = client.open(path, method=method)
    assert_refused(answer, 405)
    assert "GET" in answer.headers["Allow"]


def test_a_url_is_made_read_changed_and_deleted(stage: Stage, client: FlaskClient) -> None:
    user = stage.user()
    made = client.post("/urls", json={"user_id": user["id"], "original_url": TARGET, "title": "T"})
    url = made.get_json()
    assert (made.status_code, made.headers["Location"]) == (201, f"/urls/{url['id']}")
    assert (url["original_url"], url["title"], url["is_active"], url["user_id"]) == (TARGET, "T", True, user["id"])
    assert len(url["short_code"]) == 6
    assert client.get(f"/urls/{url['id']}").get_json() == url
    changed = client.put(f"/urls/{url['id']}", json={"title": None, "is_active": False})
    assert changed.status_code == 200
    assert changed.get_json() == {**url, "title": None, "is_active": False, "updated_at": changed.get_json()["updated_at"]}
    assert client.delete(f"/urls/{url['id']}").status_code == 204
    assert_refused(client.delete(f"/urls/{url['id']}"), 404)
    kinds = [(event["event_type"], event["user_id"]) for event in stage.events(url_id=url["id"])]
    assert kinds == [("created", user["id"]), ("updated", user["id"]), ("deleted", user["id"])]


def test_a_user_may_be_changed_by_nothing(stage: Stage, client: FlaskClient) -> None:
    user = stage.user()
    answer = client.put(f"/users/{user['id']}", json={})
    assert (answer.status_code, answer.get_json()) == (200, user)


def test_a_change_to_a_user_that_does_not_exist_is_not_found(client: FlaskClient) -> None:
    assert_refused(client.put(f"/users/{MISSING_ID}", json={"username": "new"}), 404)


def test_where_no_code_can_be_found_the_url_is_not_made(
    stage: Stage, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = stage.url(short_code="AAAAAA")
    monkeypatch.setattr("secrets.randbelow", lambda _below: 0)
    answer = client.post("/urls", json={"user_id": url["user_id"], "original_url": TARGET})
    assert_refused(answer, 503)
    assert client.get("/urls").get_json() == [url]


def test_a_change_that_changes_nothing_leaves_no_event(stage: Stage, client: FlaskClient) -> None:
    url = stage.url()
    for body in ({}, {"original_url": TARGET}, {"unknown": 1}):
        assert client.put(f"/urls/{url['id']}", json=body).get_json() == url
    assert [event["event_type"] for event in stage.events()] == ["created"]


def test_the_same_url_twice_has_two_codes(stage: Stage) -> None:
    user = stage.user()
    first, second = stage.url(user_id=user["id"]), stage.url(user_id=user["id"])
    assert first["original_url"] == second["original_url"]
    assert first["short_code"] != second["short_code"]


@pytest.mark.parametrize("target", ["hello", "example.com", "ftp://example.com/x", "", "javascript:alert(1)", "http://", 7, None])
def test_what_is_no_url_is_refused(stage: Stage, client: FlaskClient, target: Any) -> None:
    body = {"user_id": stage.user()["id"], "original_url": target}
    assert assert_refused(client.post("/urls", json=body), 400)["field"] == "original_url"
    url = stage.url()
    assert_refused(client.put(f"/urls/{url['id']}", json={"original_url": target}), 400)


@pytest.mark.parametrize("missing", ["user_id", "original_url"])
def test_a_url_without_a_field_is_refused(stage: Stage, client: FlaskClient, missing: str) -> None:
    body = {"user_id": stage.user()["id"], "original_url": TARGET}
    del body[missing]
    assert assert_refused(client.post("/urls", json=body), 400)["field"] == missing


def test_a_url_of_an_unknown_user_is_not_found_and_not_made(stage: Stage, client: FlaskClient) -> None:
    assert_refused(client.post("/urls", json={"user_id": MISSING_ID, "original_url": TARGET}), 404)
    url = stage.url()
    assert_refused(client.put(f"/urls/{url['id']}", json={"user_id": MISSING_ID}), 404)
    assert client.get("/urls").get_json() == [url]
    assert [event["event_type"] for event in stage.events()] == ["created"]


def test_url_is_taken_for_original_url(stage: Stage, client: FlaskClient) -> None:
    made = client.post("/urls", json={"user_id": stage.user()["id"], "url": TARGET})
    assert (made.status_code, made.get_json()["original_url"]) == (201, TARGET)


def test_a_code_of_ones_own_is_taken_once(stage: Stage, client: FlaskClient) -> None:
    url = stage.url(short_code="my-code")
    assert url["short_code"] == "my-code"
    body = {"user_id": url["user_id"], "original_url": TARGET, "short_code": "my-code"}
    assert assert_refused(client.post("/urls", json=body), 409)["field"] == "short_code"
    assert_refused(client.post("/urls", json={**body, "short_code": "health"}), 400)


def test_deleting_a_user_deletes_its_urls_and_keeps_all_events(stage: Stage, client: FlaskClient) -> None:
    url, other = stage.url(), stage.url()
    assert client.delete(f"/users/{url['user_id']}").status_code == 204
    assert client.get("/urls").get_json() == [other]
    assert [event["event_type"] for event in stage.events(user_id=url["user_id"])] == ["created", "deleted"]


def test_a_deletion_leaves_what_the_url_was(stage: Stage, client: FlaskClient) -> None:
    user = stage.user()
    gone = [stage.url(user_id=user["id"]) for _ in range(3)]
    client.delete(f"/users/{user['id']}")
    left = [(event["url_id"], event["user_id"], event["details"]) for event in stage.events(event_type="deleted")]
    assert left == [(url["id"], user["id"], {"short_code": url["short_code"], "original_url": TARGET}) for url in gone]


def test_an_event_is_made_and_read(stage: Stage, client: FlaskClient) -> None:
    url = stage.url()
    body = {
        "url_id": url["id"], "user_id": url["user_id"], "event_type": "shared",
        "details": {"where": ["a", {"b": None}]}, "timestamp": "2026-01-02T03:04:05",
    }  # fmt: skip
    made = client.post("/events", json=body)
    event = made.get_json()
    assert (made.status_code, made.headers["Location"]) == (201, f"/events/{event['id']}")
    assert event == {**body, "id": event["id"]}
    assert client.get(f"/events/{event['id']}").get_json() == event


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "event_type"),
        ({"event_type": ""}, "event_type"),
        ({"event_type": 7}, "event_type"),
        ({"event_type": "x", "details": "{}"}, "details"),
        ({"event_type": "x", "details": []}, "details"),
        ({"event_type": "x", "details": {"a": "\0"}}, "details"),
        ({"event_type": "x", "url_id": "1"}, "url_id"),
        ({"event_type": "x", "url_id": True}, "url_id"),
        ({"event_type": "x", "timestamp": "2026-02-30T00:00:00"}, "timestamp"),
    ],
)
def test_a_bad_event_is_refused_with_the_field(client: FlaskClient, body: dict[str, Any], field: str) -> None:
    assert assert_refused(client.post("/events", json=body), 400)["field"] == field


@pytest.mark.parametrize("field", ["url_id", "user_id"])
def test_an_event_of_something_unknown_is_not_found(client: FlaskClient, field: str) -> None:
    assert_refused(client.post("/events", json={"event_type": "x", field: MISSING_ID}), 404)


def test_events_are_filtered_by_each_field_and_by_all(stage: Stage) -> None:
    first, second = stage.url(), stage.url()
    stage.event(url_id=first["id"], event_type="shared")
    stage.event(url_id=second["id"], event_type="shared", user_id=first["user_id"])
    assert len(stage.events()) == 4
    assert [event["event_type"] for event in stage.events(url_id=first["id"])] == ["created", "shared"]
    assert [event["url_id"] for event in stage.events(event_type="shared")] == [first["id"], second["id"]]
    assert [event["url_id"] for event in stage.events(user_id=first["user_id"], event_type="shared")] == [second["id"]]
    assert stage.events(url_id=MISSING_ID) == []


@pytest.mark.parametrize(
    "path",
    [
        "/users?page=x", "/users?page=0", "/users?page=-1", "/users?per_page=0", "/users?per_page=1.5", "/users?page=",
        "/urls?page=%D9%A1",
        "/urls?user_id=x", "/urls?user_id=0", "/events?url_id=x", "/events?user_id=99999999999", "/events?event_type=",
        "/events?event_type=%00", "/users?page=99999999999999999999999",
    ],
)  # fmt: skip
def test_a_bad_query_is_refused(client: FlaskClient, path: str) -> None:
    assert_refused(client.get(path), 400)


def test_lists_come_in_pages_that_lead_to_the_next(stage: Stage, client: FlaskClient) -> None:
    ids = [stage.user()["id"] for _ in range(23)]
    first = client.get("/users")
    assert [user["id"] for user in first.get_json()] == ids[:20]
    assert first.headers["Link"] == '</users?page=2&per_page=20>; rel="next"'
    last = client.get("/users?page=2&per_page=20")
    assert [user["id"] for user in last.get_json()] == ids[20:]
    assert "Link" not in last.headers
    assert len(client.get("/users?per_page=1000").get_json()) == 23
    assert client.get("/users?page=1000000000").get_json() == []


def test_urls_are_listed_for_one_user(stage: Stage, client: FlaskClient) -> None:
    url, other = stage.url(), stage.url()
    assert client.get(f"/urls?user_id={url['user_id']}").get_json() == [url]
    assert client.get(f"/users/{other['user_id']}/urls").get_json() == [other]
    assert client.get(f"/urls?user_id={MISSING_ID}").get_json() == []


def test_health_is_as_the_hackathon_wants_it(client: FlaskClient) -> None:
    answer = client.get("/health")
    assert (answer.status_code, answer.get_json()) == (200, {"status": "ok"})
