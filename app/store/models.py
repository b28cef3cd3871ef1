"""The tables as peewee sees them. The schema itself is in `migrations/`; a model holds only what queries name."""

from __future__ import annotations

from typing import Any

from peewee import BooleanField, DateTimeField, Field, IdentityField, IntegerField, Model, TextField
from psycopg.types.json import Jsonb


class ObjectField(Field):
    """A JSON object in a `jsonb` column; psycopg reads it back by itself."""

    field_type = "JSONB"

    def db_value(self, value: dict[str, Any]) -> Jsonb:
        return Jsonb(value)


class User(Model):
    id = IdentityField()
    username = TextField()
    email = TextField()
    created_at = DateTimeField()

    class Meta:
        table_name = "users"


class Url(Model):
    id = IdentityField()
    user_id = IntegerField()
    short_code = TextField()
    original_url = TextField()
    title = TextField(null=True)
    is_active = BooleanField()
    created_at = DateTimeField()
    updated_at = DateTimeField()

    class Meta:
        table_name = "urls"


class Event(Model):
    """What happened to a URL. The ids are history, not references: they outlive the URL and the user that they name."""

    id = IdentityField()
    url_id = IntegerField(null=True)
    user_id = IntegerField(null=True)
    event_type = TextField()
    timestamp = DateTimeField()
    details = ObjectField()

    class Meta:
        table_name = "events"
