-- Playback tokens say the epoch of their stream; raising it revokes them all. Those of before this table say none: epoch 0.
alter table stream add column play_epoch bigint not null default 0;
