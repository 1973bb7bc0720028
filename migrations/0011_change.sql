-- What was changed, in order: who keeps streams, destinations, restreams and ladders in memory reads again only what is different since it
-- last looked, whichever process changed it. The newest some thousand rows are kept.
create table change (
    seq bigint not null primary key,
    -- 'stream', 'destination', 'restream' or 'ladder'
    noun text not null,
    row_id bigint not null
);
insert into sequence (name, last) values ('change', 0);
