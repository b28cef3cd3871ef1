ALTER TABLE import_job
    -- receiving: its file is not whole yet. queued and running may be claimed; the others have ended and never change again.
    ADD COLUMN status text NOT NULL DEFAULT 'queued'
        CHECK (status IN ('receiving', 'queued', 'running', 'done', 'failed', 'cancelled')),
    ADD COLUMN dry_run boolean NOT NULL DEFAULT false,
    ADD COLUMN reject_limit bigint NOT NULL DEFAULT 100000,
    ADD COLUMN reject_percent smallint,
    ADD COLUMN idempotency_key text UNIQUE,
    -- Of the file as it was sent, and of that with its kind and its options; both in hexadecimal.
    ADD COLUMN sha256 text,
    ADD COLUMN fingerprint text,
    -- Bytes of the file as it was sent, and how many of them were read.
    ADD COLUMN size bigint NOT NULL DEFAULT 0,
    ADD COLUMN bytes_done bigint NOT NULL DEFAULT 0,
    -- Claims since the last batch that was written.
    ADD COLUMN attempts integer NOT NULL DEFAULT 0,
    ADD COLUMN lease_owner uuid,
    -- Nobody else may claim the job before; also how a job waits before it is tried again.
    ADD COLUMN lease_until timestamptz,
    ADD COLUMN started_at timestamp,
    ADD COLUMN ended_at timestamp,
    ADD COLUMN error_code text,
    ADD COLUMN error_line bigint,
    ADD COLUMN error_message text;

CREATE INDEX import_job_unfinished ON import_job (created_at) WHERE status IN ('receiving', 'queued', 'running');
CREATE INDEX import_job_listed ON import_job (created_at DESC, id);
-- Without an idempotency key, a file that waits or is worked on is not taken a second time.
CREATE UNIQUE INDEX import_job_fingerprint_key ON import_job (fingerprint)
    WHERE status IN ('queued', 'running') AND idempotency_key IS NULL;
