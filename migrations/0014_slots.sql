-- A stream has several sources, each in a slot of its own, in an order of preference (`place`). The table is made anew, because the names
-- of slots were two, and a check can't be changed.
create table source_by_place (
    stream_id bigint not null references stream (id) on delete cascade,
    slot text not null,
    -- 0 is the source that is preferred to all others
    place integer not null,
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
insert into source_by_place (stream_id, slot, place, kind, stream_key, stream_key_lookup, uri, items, looped)
select stream_id, slot, case slot when 'primary' then 0 else 1 end, kind, stream_key, stream_key_lookup, uri, items, looped
from source;
drop table source;
alter table source_by_place rename to source;

-- When another source comes on air, as JSON; null for the usual rules.
alter table stream add column failover text;
