CREATE TABLE import_job (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    kind text NOT NULL CHECK (kind IN ('users', 'urls', 'events')),
    -- Set once the header was read: how the file is written, so that any worker can go on in the middle.
    layout jsonb,
    -- Where the next batch begins in the unpacked file. Moves in the transaction that writes the batch before it.
    next_offset bigint NOT NULL DEFAULT 0,
    next_line bigint NOT NULL DEFAULT 1,
    inserted bigint NOT NULL DEFAULT 0,
    updated bigint NOT NULL DEFAULT 0,
    unchanged bigint NOT NULL DEFAULT 0,
    duplicate bigint NOT NULL DEFAULT 0,
    rejected bigint NOT NULL DEFAULT 0,
    created_at timestamp NOT NULL
);

-- The file as it was sent, in pieces, because any replica may go on with it.
CREATE TABLE import_blob (
    job_id uuid NOT NULL REFERENCES import_job ON DELETE CASCADE,
    seq integer NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (job_id, seq)
);
-- Files are packed already or cheap to keep: compressing them here would cost more than it saves.
ALTER TABLE import_blob ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE TABLE import_reject (
    job_id uuid NOT NULL REFERENCES import_job ON DELETE CASCADE,
    line bigint NOT NULL,
    "column" text NOT NULL,
    code text NOT NULL,
    message text NOT NULL,
    raw text NOT NULL,
    PRIMARY KEY (job_id, line)
);
