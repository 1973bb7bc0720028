-- A rendition's row has the form in which people say it, which is the API's: one form instead of two. Before, it was
-- {"name", "encoding": "passthrough" | {"encode": {..}} | {"sound": {..}}}. Nulls go; they meant what absence means.
--
-- Rows of before are in SQLite alone: these are its words for JSON.

update restream set rendition = json_patch(
    json_object('name', json_extract(rendition, '$.name')),
    case
        when json_extract(rendition, '$.encoding') = 'passthrough' then json_object('passthrough', json('true'))
        when json_type(rendition, '$.encoding.encode') = 'object' then json_extract(rendition, '$.encoding.encode')
        else json_object(
            'audio_bitrate_kbps', coalesce(
                json_extract(rendition, '$.encoding.sound.audio_bitrate_kbps'),
                json_extract(rendition, '$.encoding.sound.bitrate_kbps'),
                128
            ),
            'audio_codec', coalesce(
                json_extract(rendition, '$.encoding.sound.audio_codec'),
                json_extract(rendition, '$.encoding.sound.codec')
            ),
            'loudness_lufs', json_extract(rendition, '$.encoding.sound.loudness_lufs')
        )
    end
)
where json_type(rendition, '$.encoding') is not null;

update stream set ladder = (
    select json_group_array(json_patch(
        json_object('name', json_extract(line.value, '$.name')),
        case
            when json_extract(line.value, '$.encoding') = 'passthrough' then json_object('passthrough', json('true'))
            when json_type(line.value, '$.encoding.encode') = 'object' then json_extract(line.value, '$.encoding.encode')
            else json_object(
                'audio_bitrate_kbps', json_extract(line.value, '$.encoding.sound.bitrate_kbps'),
                'audio_codec', json_extract(line.value, '$.encoding.sound.codec'),
                'loudness_lufs', json_extract(line.value, '$.encoding.sound.loudness_lufs')
            )
        end
    ))
    from (select value from json_each(stream.ladder) order by key) as line
)
where json_type(ladder) = 'array';

update ladder set renditions = (
    select json_group_array(json_patch(
        json_object('name', json_extract(line.value, '$.name')),
        case
            when json_extract(line.value, '$.encoding') = 'passthrough' then json_object('passthrough', json('true'))
            when json_type(line.value, '$.encoding.encode') = 'object' then json_extract(line.value, '$.encoding.encode')
            else json_object(
                'audio_bitrate_kbps', json_extract(line.value, '$.encoding.sound.bitrate_kbps'),
                'audio_codec', json_extract(line.value, '$.encoding.sound.codec'),
                'loudness_lufs', json_extract(line.value, '$.encoding.sound.loudness_lufs')
            )
        end
    ))
    from (select value from json_each(ladder.renditions) order by key) as line
);
