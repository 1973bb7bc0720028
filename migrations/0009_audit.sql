-- How it ended, from where, and how often within its minute; what went well once says 'ok' and 1.
alter table audit add column outcome text not null default 'ok';
-- null: it was no HTTP request
alter table audit add column status bigint;
-- null: it came from the command line, or from too many addresses to tell
alter table audit add column address text;
alter table audit add column count bigint not null default 1;
-- Refusals have a limit of their own, so that strangers can't push out what was done.
create index audit_refused on audit (id) where outcome <> 'ok';

-- Written every few seconds: whether the database can be written is known before somebody needs it.
create table write_probe (
    id bigint not null primary key check (id = 1),
    at bigint not null
);
