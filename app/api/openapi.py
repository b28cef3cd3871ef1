"""/openapi.json: the API as OpenAPI 3.1 describes it."""

from __future__ import annotations

import json

from flask import Blueprint, Response

from app.api import openapi_imports, openapi_paths, openapi_service, schemas
from app.api.openapi_operating import OPERATING, OPERATING_SCHEMAS, SECURITY
from app.api.openapi_parts import HEADERS, PARAMETERS, errors
from app.api.schemas import Json
from app.services import Services

_DESCRIPTION = (
    "Every refusal and failure is JSON: `error`, `message`, `request_id`. HEAD is answered as GET is; a method that a path"
    " does not know is answered 405. nginx before the service may answer 408, 413, 414, 429, 502, 503 and 504 in the same form."
)


def document(version: str) -> Json:
    """The description of the service at this version."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "shop",
            "summary": "A URL shortener",
            "description": _DESCRIPTION,
            "version": version,
        },
        "servers": [{"url": "/"}],
        "paths": {**openapi_paths.PATHS, **openapi_imports.PATHS, **openapi_service.PATHS, **OPERATING},
        "components": {
            "schemas": {**schemas.SCHEMAS, **openapi_imports.SCHEMAS, **openapi_service.SCHEMAS, **OPERATING_SCHEMAS},
            "responses": errors(),
            "headers": HEADERS,
            "parameters": PARAMETERS,
            "securitySchemes": SECURITY,
        },
    }


def blueprint(services: Services) -> Blueprint:
    """The route of the description."""
    routes = Blueprint("openapi", __name__)
    text = json.dumps(document(services.settings.version), ensure_ascii=False)

    @routes.get("/openapi.json")
    def show() -> Response:
        return Response(text, content_type="application/json")

    return routes
