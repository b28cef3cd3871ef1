"""Whatever a body holds, it is taken or refused, and the service has no fault because of it."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.app.stage import TARGET, Stage

ANY_TEXT = st.text(alphabet=st.characters(codec=None, exclude_categories=[]), max_size=40)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3), max_leaves=8
)
# Mostly well-formed, so that what is odd gets past the first check.
FIELDS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "/users": {"username": ANY_TEXT, "email": ANY_TEXT | st.emails(), "created_at": ANYTHING},
    "/urls": {
        "user_id": st.just(1), "original_url": st.just(TARGET) | ANY_TEXT.map(f"{TARGET}/".__add__),
        "title": ANY_TEXT,
        "short_code": ANY_TEXT | st.none(), "is_active": st.booleans(), "created_at": st.datetimes().map(str),
    },
    "/events": {
        "event_type": st.just("x") | ANY_TEXT, "url_id": st.integers() | st.none(),
        "details": st.dictionaries(ANY_TEXT, ANYTHING),
        "timestamp": st.datetimes().map(str) | st.none(),
    },
}  # fmt: skip
EACH_ON_ITS_OWN = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("path", FIELDS)
@given(data=st.data())
@EACH_ON_ITS_OWN
def test_any_fields_are_taken_or_refused(client: FlaskClient, stage: Stage, path: str, data: st.DataObject) -> None:
    if client.get("/users/1").status_code != 200:
        stage.user()
    body = data.draw(st.fixed_dictionaries({}, optional={name: ANYTHING | good for name, good in FIELDS[path].items()}))
    answer = client.post(path, json=body)
    assert answer.status_code in (201, 400, 404, 409), answer.text
    if answer.status_code == 201:
        made = answer.get_json()
        assert client.get(answer.headers["Location"]).get_json() == made
        if path == "/urls":
            assert client.get(f"/{made['short_code']}").status_code == (302 if made["is_active"] else 410)


@pytest.mark.parametrize("path", FIELDS)
@given(body=st.binary(max_size=200))
@EACH_ON_ITS_OWN
def test_any_bytes_are_taken_or_refused(client: FlaskClient, path: str, body: bytes) -> None:
    assert client.post(path, data=body).status_code in (201, 400)


@given(code=ANY_TEXT)
@EACH_ON_ITS_OWN
def test_any_path_is_answered(client: FlaskClient, code: str) -> None:
    path = "/" + code.encode("utf-8", "surrogatepass").decode("latin-1")
    assert client.get("/", environ_overrides={"PATH_INFO": path}).status_code in (200, 308, 404)
