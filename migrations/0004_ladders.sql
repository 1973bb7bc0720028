-- Ladders of one's own, beside those that come with the server (which have the ids below 1000).
create table ladder (
    id bigint not null primary key,
    version bigint not null,
    name text not null unique,
    title text not null,
    -- [rendition, ...]
    renditions text not null,
    created_at bigint not null,
    updated_at bigint not null
);
insert into sequence (name, last) values ('ladder', 1000);
