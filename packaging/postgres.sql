-- The tables of trap-server in PostgreSQL, for `[credentials] source = "postgres"`. To be applied as often as you like, by
-- somebody who may make tables there:
--
--   createdb trap
--   psql --set ON_ERROR_STOP=1 --dbname trap --file postgres.sql
--
-- The role `trap` is made without a password; give it one with `\password trap`, and the server the same in PGPASSWORD.

BEGIN;

-- Who may authenticate. What you change here by hand, the server sees within `cache_time`.
CREATE TABLE IF NOT EXISTS client (
    -- 1 to 255 bytes without control characters.
    id text COLLATE "C" PRIMARY KEY CHECK (octet_length(id) BETWEEN 1 AND 255),
    enabled boolean NOT NULL DEFAULT true,
    note text NOT NULL DEFAULT '',
    -- From when on it may not any more; null: never.
    expires_at timestamptz CHECK (isfinite(expires_at)),
    created_at timestamptz NOT NULL DEFAULT now() CHECK (isfinite(created_at))
);

-- The networks from which an id may come; without any, it may come from everywhere.
ALTER TABLE client ADD COLUMN IF NOT EXISTS networks cidr[] NOT NULL DEFAULT '{}'
    CHECK (array_position(networks, NULL) IS NULL);

-- Who tried and may not. The server keeps the newest `max_unknown` rows.
CREATE TABLE IF NOT EXISTS unknown_client (
    id text COLLATE "C" PRIMARY KEY,
    -- From where it tried last.
    peer text NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    times bigint NOT NULL,
    -- unknown, disabled, expired or elsewhere
    reason text NOT NULL
);
CREATE INDEX IF NOT EXISTS unknown_client_last_at ON unknown_client (last_at);

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'trap') THEN
        CREATE ROLE trap LOGIN;
    END IF;
END
$$;

-- What the server needs.
GRANT SELECT ON client TO trap;
GRANT SELECT, INSERT, UPDATE, DELETE ON unknown_client TO trap;

-- What `trap-server clients add`, `import` and so on need besides. A server that shall not be able to change who may
-- authenticate does without this line; the command then takes a config with another user in its `url`.
GRANT INSERT, UPDATE, DELETE ON client TO trap;

COMMIT;
