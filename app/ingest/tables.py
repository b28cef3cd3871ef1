"""The SQL that puts a batch into each table, and what makes two rows the same one.

Staged rows are numbered by `n`; NULL is what the file does not say. `judge` gives for each of the rows %(rows)s: n, the id
of the row that is meant, whether its reference exists, whether it says nothing new, and for each column of `unique` the id
of the row that has the value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import LiteralString

from app.ingest.rows import Kind


@dataclass(frozen=True)
class Table:
    """`key` is the place in a record of what names a row without an id, `unique` are the places of what only one row may have."""

    stage: LiteralString
    clear: LiteralString
    # Moves the sequence of ids beyond those of the table and of the batch.
    make_way: LiteralString
    copy: LiteralString
    # Inserts what clashes with nothing and has its reference; returns id and key of the new rows. %(now)s is the batch's time.
    insert: LiteralString
    judge: LiteralString
    # Writes the rows %(rows)s over those with the ids %(ids)s; what the file does not say stays.
    update: LiteralString
    key: int | None
    unique: Mapping[str, int]
    # Checked here because a broken foreign key fails a whole statement.
    reference: str = ""


TABLES: Mapping[Kind, Table] = {
    Kind.USERS: Table(
        stage="""CREATE TEMP TABLE IF NOT EXISTS stage_users ON COMMIT DELETE ROWS
            AS SELECT 0 AS n, id, username, email, created_at FROM users WITH NO DATA""",
        clear="DELETE FROM stage_users",
        make_way="""
            SELECT setval('users_id_seq', wanted)
            FROM (SELECT greatest(max(id), %(highest)s) AS wanted FROM users) w, users_id_seq s WHERE wanted >= s.last_value""",
        copy="COPY stage_users FROM STDIN",
        insert="""
            INSERT INTO users (id, username, email, created_at)
            SELECT coalesce(id, nextval('users_id_seq')), username, email, coalesce(created_at, %(now)s)
            FROM stage_users ON CONFLICT DO NOTHING RETURNING id, username""",
        judge="""
            SELECT s.n, t.id, true,
                s.username = t.username AND s.email = t.email AND coalesce(s.created_at = t.created_at, true),
                named.id, mailed.id
            FROM stage_users s
            LEFT JOIN users named ON named.username = s.username
            LEFT JOIN users mailed ON mailed.email = s.email
            LEFT JOIN users t ON t.id = coalesce(s.id, named.id)
            WHERE s.n = ANY(%(rows)s)""",
        update="""
            UPDATE users t SET username = s.username, email = s.email, created_at = coalesce(s.created_at, t.created_at)
            FROM unnest(%(rows)s::int[], %(ids)s::int[]) v(n, id) JOIN stage_users s USING (n) WHERE t.id = v.id""",
        key=1,
        unique={"username": 1, "email": 2},
    ),
    Kind.URLS: Table(
        stage="""CREATE TEMP TABLE IF NOT EXISTS stage_urls ON COMMIT DELETE ROWS
            AS SELECT 0 AS n, id, user_id, short_code, original_url, title, is_active, created_at, updated_at
            FROM urls WITH NO DATA""",
        clear="DELETE FROM stage_urls",
        make_way="""
            SELECT setval('urls_id_seq', wanted)
            FROM (SELECT greatest(max(id), %(highest)s) AS wanted FROM urls) w, urls_id_seq s WHERE wanted >= s.last_value""",
        copy="COPY stage_urls FROM STDIN",
        insert="""
            INSERT INTO urls (id, user_id, short_code, original_url, title, is_active, created_at, updated_at)
            SELECT coalesce(id, nextval('urls_id_seq')), user_id, short_code, original_url, title,
                coalesce(is_active, true), coalesce(created_at, %(now)s), coalesce(updated_at, created_at, %(now)s)
            FROM stage_urls s WHERE EXISTS (SELECT FROM users u WHERE u.id = s.user_id)
            ON CONFLICT DO NOTHING RETURNING id, short_code""",
        judge="""
            SELECT s.n, t.id, EXISTS (SELECT FROM users u WHERE u.id = s.user_id),
                s.user_id = t.user_id AND s.original_url = t.original_url
                AND (s.title IS NULL OR s.title IS NOT DISTINCT FROM t.title)
                AND coalesce(s.short_code = t.short_code, true) AND coalesce(s.is_active = t.is_active, true)
                AND coalesce(s.created_at = t.created_at, true) AND coalesce(s.updated_at = t.updated_at, true),
                coded.id
            FROM stage_urls s
            LEFT JOIN urls coded ON coded.short_code = s.short_code
            LEFT JOIN urls t ON t.id = coalesce(s.id, coded.id)
            WHERE s.n = ANY(%(rows)s)""",
        update="""
            UPDATE urls t SET user_id = s.user_id, short_code = coalesce(s.short_code, t.short_code),
                original_url = s.original_url,
                title = coalesce(s.title, t.title), is_active = coalesce(s.is_active, t.is_active),
                created_at = coalesce(s.created_at, t.created_at), updated_at = coalesce(s.updated_at, t.updated_at)
            FROM unnest(%(rows)s::int[], %(ids)s::int[]) v(n, id) JOIN stage_urls s USING (n) WHERE t.id = v.id""",
        key=2,
        unique={"short_code": 2},
        reference="user_id",
    ),
    # Events are history: what they name may be gone.
    Kind.EVENTS: Table(
        stage="""CREATE TEMP TABLE IF NOT EXISTS stage_events ON COMMIT DELETE ROWS
            AS SELECT 0 AS n, id, url_id, user_id, event_type, timestamp, details FROM events WITH NO DATA""",
        clear="DELETE FROM stage_events",
        make_way="""
            SELECT setval('events_id_seq', wanted)
            FROM (SELECT greatest(max(id), %(highest)s) AS wanted FROM events) w, events_id_seq s WHERE wanted >= s.last_value""",
        copy="COPY stage_events FROM STDIN",
        insert="""
            INSERT INTO events (id, url_id, user_id, event_type, timestamp, details)
            SELECT coalesce(id, nextval('events_id_seq')), url_id, user_id, event_type,
                coalesce(timestamp, %(now)s), coalesce(details, '{}')
            FROM stage_events ON CONFLICT DO NOTHING RETURNING id, NULL""",
        judge="""
            SELECT s.n, t.id, true,
                coalesce(s.url_id = t.url_id, s.url_id IS NULL) AND coalesce(s.user_id = t.user_id, s.user_id IS NULL)
                AND s.event_type = t.event_type AND coalesce(s.timestamp = t.timestamp, true)
                AND coalesce(s.details = t.details, true)
            FROM stage_events s LEFT JOIN events t ON t.id = s.id WHERE s.n = ANY(%(rows)s)""",
        update="""
            UPDATE events t SET url_id = coalesce(s.url_id, t.url_id), user_id = coalesce(s.user_id, t.user_id),
                event_type = s.event_type, timestamp = coalesce(s.timestamp, t.timestamp),
                details = coalesce(s.details, t.details)
            FROM unnest(%(rows)s::int[], %(ids)s::int[]) v(n, id) JOIN stage_events s USING (n) WHERE t.id = v.id""",
        key=None,
        unique={},
    ),
}
