-- Who wants to be told of events.
create table webhook (
    id bigint not null primary key,
    -- sealed: people put tokens into addresses
    url blob not null,
    -- sealed
    secret blob,
    -- null: all; else [type, ...]
    types text,
    created_at bigint not null
);
insert into sequence (name, last) values ('webhook', 0);
