-- People can be changed, and how many restreams each may make can be limited.
alter table account add column version bigint not null default 1;
-- null: no limit
alter table account add column restream_quota bigint;
alter table account add column updated_at bigint not null default 0;
update account set updated_at = created_at;

-- Who made it; null for API keys, which have no quota. It stays when the person goes.
alter table restream add column owner_id bigint references account (id) on delete set null;
create index restream_owner on restream (owner_id);
