"""The application that the controller keeps alive: a URL shortener on PostgreSQL and Redis, which also counts its visitors."""

from __future__ import annotations

from collections.abc import Mapping
from os import environ
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask


def create_app(env: Mapping[str, str] = environ) -> Flask:
    """Build the service from the environment, as `Settings.of` reads it; touches no network. Raises SettingsError."""
    from app.factory import create_app as create  # not before: commands need no Flask, and `lint` nothing beyond itself

    return create(env)
