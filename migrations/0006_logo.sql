-- The picture that is laid over a stream's renditions.
-- null, or {"position", "width_percent", ...}
alter table stream add column logo text;
-- null, or what the picture is like: {"digest", "width", "height"}
alter table stream add column logo_image text;
-- The picture itself, apart: streams are read often, pictures are not.
create table logo (
    stream_id bigint not null primary key references stream (id) on delete cascade,
    png blob not null
);
