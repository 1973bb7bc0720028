-- Whether a stream's source is recorded to files.
alter table stream add column record boolean not null default false;
