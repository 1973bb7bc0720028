-- Which sound a restream sends where only one can be sent: a language of ISO 639-2, null for the source's default.
alter table restream add column audio_language text;
