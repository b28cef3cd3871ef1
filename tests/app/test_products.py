"""The hackathon's cached list."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.support.redis_server import RedisServer


def test_the_list_comes_from_redis_the_second_time(client: FlaskClient) -> None:
    first, second = client.get("/products"), client.get("/products")
    assert [answer.headers["X-Cache"] for answer in (first, second)] == ["MISS", "HIT"]
    assert first.get_json() == second.get_json()
    assert {"id", "name", "price_cents"} == set(first.get_json()[0])


@pytest.mark.parametrize("trouble", ["kill", "freeze"])
def test_without_redis_the_list_is_there_all_the_same(client: FlaskClient, redis_server: RedisServer, trouble: str) -> None:
    client.get("/products")
    getattr(redis_server, trouble)()
    answers = [client.get("/products") for _ in range(2)]
    assert [(answer.status_code, answer.headers["X-Cache"]) for answer in answers] == [(200, "MISS")] * 2
    assert answers[0].get_json()
