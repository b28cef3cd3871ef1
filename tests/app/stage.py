"""The rows that most tests begin with, made through the API."""

from __future__ import annotations

from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

TARGET = "https://example.com/a?b=c#d"


class Stage:
    """Makes users, URLs and events, and fails where the API refuses one."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client
        self._users = 0

    def user(self, **fields: Any) -> dict[str, Any]:
        self._users += 1
        return self._made("/users", {"username": f"user{self._users}", "email": f"user{self._users}@example.com", **fields})

    def url(self, **fields: Any) -> dict[str, Any]:
        """Of a new user, unless one is given."""
        user_id = fields.pop("user_id", None) or self.user()["id"]
        return self._made("/urls", {"user_id": user_id, "original_url": TARGET, **fields})

    def event(self, **fields: Any) -> dict[str, Any]:
        return self._made("/events", {"event_type": "viewed", **fields})

    def events(self, **wanted: Any) -> list[dict[str, Any]]:
        answer = self.client.get("/events", query_string={**wanted, "per_page": 100})
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.get_json()
        return found

    def visit(self, url: dict[str, Any]) -> TestResponse:
        return self.client.get(f"/{url['short_code']}")

    def _made(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self.client.post(path, json=body)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.get_json()
        return made
