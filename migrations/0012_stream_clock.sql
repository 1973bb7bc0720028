-- The clock of a stream that was published at least once: its zero never changes, the rest is noted while frames come, so that another run of
-- the server goes on behind every time and every segment number that was given.
create table stream_clock (
    stream_id bigint not null primary key references stream (id) on delete cascade,
    -- what the wall clock said at the stream's time zero; nanoseconds since 1970
    zero_at bigint not null,
    -- the number of a segment in slot zero
    first_number bigint not null,
    -- the newest time that was given to a frame; nanoseconds since zero
    reached bigint not null,
    -- no segment had this number yet, nor a higher one
    next_number bigint not null,
    -- when that was; nanoseconds since 1970
    noted_at bigint not null
);
