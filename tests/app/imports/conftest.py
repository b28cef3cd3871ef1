"""A desk at a replica."""

from __future__ import annotations

import pytest

from tests.app.conftest import MakeApp
from tests.app.imports.desk import Desk, MakeDesk
from tests.support.postgres import PostgresServer


@pytest.fixture
def make_desk(make_app: MakeApp, postgres: PostgresServer) -> MakeDesk:
    """Keyword arguments are variables of the replica's environment."""
    return lambda **variables: Desk(make_app(**variables), postgres.url)


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    return make_desk()
