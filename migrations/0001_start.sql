-- The first tables: what an operator asks for (streams, destinations, restreams) and who may ask.
--
-- Written to run on SQLite and, later, PostgreSQL: ids come from the sequence table and not from a dialect's own
-- counter, times are Unix milliseconds, JSON is text. `blob` is the one word PostgreSQL spells differently (bytea).
-- Columns commented "sealed" hold XChaCha20-Poly1305 boxes bound to their table, column and row.

-- The last id given out per table. Ids are never used twice, and are known before a row is written, because sealed
-- columns are bound to them.
create table sequence (
    name text not null primary key,
    last bigint not null
);
insert into sequence (name, last) values
    ('stream', 0), ('destination', 0), ('restream', 0), ('api_key', 0), ('account', 0), ('audit', 0);

-- A known text, sealed: tells at once whether secret.key is the one this database was made with.
create table sealing (
    id bigint not null primary key check (id = 1),
    proof blob not null
);

create table stream (
    id bigint not null primary key,
    version bigint not null,
    name text not null unique,
    active boolean not null,
    -- null, "name" or [rendition, ...]
    ladder text,
    hls boolean not null,
    dash boolean not null,
    webrtc boolean not null,
    dvr_seconds bigint not null,
    protected boolean not null,
    -- null, 'card' or a file
    slate text,
    encoder_policy text not null,
    -- sealed
    srt_passphrase blob,
    created_at bigint not null,
    updated_at bigint not null
);

-- Where a stream's media comes from: one row per slot.
create table source (
    stream_id bigint not null references stream (id) on delete cascade,
    slot text not null check (slot in ('primary', 'backup')),
    kind text not null check (kind in ('push', 'pull', 'playlist')),
    -- push: sealed, and a keyed hash by which it is found and kept unique
    stream_key blob,
    stream_key_lookup blob unique,
    -- pull: sealed, because it may carry credentials
    uri blob,
    -- playlist: [path, ...]
    items text,
    looped boolean not null,
    primary key (stream_id, slot)
);

create table destination (
    id bigint not null primary key,
    version bigint not null,
    name text not null unique,
    platform text not null,
    -- sealed: an SRT URL may carry a passphrase
    url blob not null,
    -- sealed
    backup_url blob,
    created_at bigint not null,
    updated_at bigint not null
);

create table restream (
    id bigint not null primary key,
    version bigint not null,
    stream_id bigint not null references stream (id) on delete cascade,
    name text not null,
    active boolean not null,
    client_user_id bigint,
    -- sealed; either this, or destination_id and stream_key
    uri blob,
    destination_id bigint references destination (id),
    -- sealed
    stream_key blob,
    -- sealed
    backup_uri blob,
    -- null, "name" or {rendition}; sealed columns aside, JSON as in stream.ladder
    rendition text,
    start_at bigint,
    stop_at bigint,
    source_lost_ms bigint not null,
    give_up_ms bigint not null,
    stop_reason text,
    created_at bigint not null,
    updated_at bigint not null,
    unique (stream_id, name),
    check ((uri is null) <> (destination_id is null))
);
create index restream_destination on restream (destination_id);

create table api_key (
    id bigint not null primary key,
    name text not null unique,
    role text not null,
    -- SHA-256; the key itself has 256 random bits, so nothing slower is needed
    key_hash blob not null unique,
    created_at bigint not null
);

create table account (
    id bigint not null primary key,
    name text not null unique,
    role text not null,
    -- argon2id, PHC string
    password_hash text not null,
    created_at bigint not null
);

-- A browser that logged in, by the SHA-256 of its cookie.
create table login (
    token_hash blob not null primary key,
    account_id bigint not null references account (id) on delete cascade,
    expires_at bigint not null
);

-- First answers to requests that carried an Idempotency-Key; answer columns are null while the first one runs.
create table idempotency (
    caller text not null,
    idempotency_key text not null,
    request_hash blob not null,
    status bigint,
    -- sealed: answers may show a new key once
    answer blob,
    created_at bigint not null,
    primary key (caller, idempotency_key)
);
create index idempotency_created_at on idempotency (created_at);

-- Who changed or revealed what.
create table audit (
    id bigint not null primary key,
    at bigint not null,
    actor text not null,
    action text not null,
    subject text not null
);
