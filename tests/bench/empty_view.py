"""What a redirect is measured against: views that do nothing."""

from __future__ import annotations

from flask import Flask

from app import create_app

PATH = "/bench/empty/view"


def with_empty_view() -> Flask:
    """The application, with its log, its metrics and one more view."""
    return _with_view(create_app())


def bare() -> Flask:
    """A Flask without anything."""
    return _with_view(Flask("bare", static_folder=None))


def _with_view(app: Flask) -> Flask:
    @app.get(PATH)
    def nothing() -> str:
        return ""

    return app
