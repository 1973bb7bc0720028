//! What a stream, destination or restream must be like before a command or an import stores it.

use super::{CommandError, Result};
use weir_media::Language;
use weir_model::{
    Destination, Ladder, MAX_DVR_SECONDS, Platforms, PullUrl, PushUrl, Restream, RestreamRendition, RestreamTarget,
    SOURCES_MAX, SourceKind, Stream, UrlFault, checked_label, checked_passphrase,
};

/// Refuses what nothing in this version acts on, where it is new.
pub fn check_available(stream: &Stream, old: Option<&Stream>) -> Result<()> {
    let later = |field: String| Err(CommandError::not_available(field));
    let shape = |stream: &Stream| -> Vec<_> { stream.sources.iter().map(|source| source.kind.as_str()).collect() };
    if old.is_none_or(|old| shape(old) != shape(stream)) {
        for (number, source) in stream.sources.iter().enumerate() {
            if !matches!(source.kind, SourceKind::Push { .. } | SourceKind::Pull { .. }) {
                return later(format!("sources[{number}].kind"));
            }
        }
    }
    if stream.slate.is_some() {
        return later("slate".to_owned());
    }
    Ok(())
}

pub fn check_stream(stream: &Stream) -> Result<()> {
    let invalid = CommandError::invalid;
    if stream.sources.is_empty() {
        return Err(invalid("sources", "must name at least one source"));
    }
    if stream.sources.len() > SOURCES_MAX {
        return Err(CommandError::invalid("sources", format!("must be at most {SOURCES_MAX}")));
    }
    for (number, source) in stream.sources.iter().enumerate() {
        if stream.sources[..number].iter().any(|before| before.slot == source.slot) {
            return Err(CommandError::invalid(format!("sources[{number}].slot"), "is the slot of another source, too"));
        }
    }
    for (number, source) in stream.sources.iter().enumerate() {
        if let SourceKind::Pull { uri } = &source.kind {
            PullUrl::parse(uri.expose()).map_err(|fault| url_fault(&format!("sources[{number}].uri"), &fault))?;
        }
    }
    stream
        .failover
        .check()
        .map_err(|fault| CommandError::invalid(format!("failover.{}", fault.field), fault.problem))?;
    // Whether a ladder of some name exists is for the store to say.
    if let Some(ladder @ Ladder::Inline(_)) = &stream.ladder {
        ladder.check().map_err(|fault| {
            let (field, message) = fault.at("ladder");
            CommandError::invalid(field, message)
        })?;
    }
    if stream.dvr_seconds > MAX_DVR_SECONDS {
        return Err(invalid("dvr_seconds", "must be at most 86400"));
    }
    stream.logo.check().map_err(|fault| CommandError::invalid(format!("logo.{}", fault.field), fault.problem))?;
    if let Some(passphrase) = &stream.srt_passphrase {
        checked_passphrase(passphrase.expose()).map_err(|problem| invalid("srt_passphrase", problem))?;
    }
    Ok(())
}

pub fn check_destination(destination: &mut Destination, platforms: &Platforms) -> Result<()> {
    destination.name = checked_label(&destination.name).map_err(|fault| CommandError::invalid("name", fault))?;
    if platforms.get(&destination.platform).is_none() {
        let known: Vec<&str> = platforms.all().iter().map(|platform| platform.id.as_str()).collect();
        return Err(CommandError::invalid("platform", format!("must be one of {}", known.join(", "))));
    }
    let urls = [("url", Some(&destination.url)), ("backup_url", destination.backup_url.as_ref())];
    for (field, url) in urls {
        if let Some(url) = url {
            PushUrl::check_server(url.expose()).map_err(|fault| url_fault(field, &fault))?;
        }
    }
    Ok(())
}

/// A language as it is kept: three letters of ISO 639-2.
pub fn checked_language(text: &str) -> Result<String> {
    let language = Language::parse(text.trim());
    language.map(|language| language.code().to_owned()).ok_or_else(|| {
        CommandError::invalid("audio_language", "must be a language of two or three letters, as de, deu or ger")
    })
}

/// Checks a restream. `destination` is the one that it names, where that exists.
pub fn check_restream(restream: &mut Restream, destination: Option<&Destination>) -> Result<()> {
    restream.name = checked_label(&restream.name).map_err(|fault| CommandError::invalid("name", fault))?;
    let primary = match &restream.target {
        RestreamTarget::Uri(uri) => PushUrl::parse(uri.expose()).map_err(|fault| url_fault("uri", &fault))?,
        RestreamTarget::Destination { stream_key, .. } => {
            let destination =
                destination.ok_or_else(|| CommandError::invalid("destination_id", "names nothing that exists"))?;
            PushUrl::from_server_and_key(destination.url.expose(), stream_key.expose())
                .map_err(|fault| url_fault("stream_key", &fault))?
        }
    };
    let backup = restream.backup_uri.as_ref().map(|uri| PushUrl::parse(uri.expose()));
    let backup = backup.transpose().map_err(|fault| url_fault("backup_uri", &fault))?;
    if let Some(language) = &mut restream.audio_language {
        *language = checked_language(language)?;
        if [Some(&primary), backup.as_ref()].into_iter().flatten().all(PushUrl::carries_all_sounds) {
            return Err(CommandError::invalid(
                "audio_language",
                "is for addresses that take one sound, as by RTMP: this one takes all",
            ));
        }
    }
    match &restream.rendition {
        RestreamRendition::AsIs => {}
        RestreamRendition::Named(name) => {
            let slug = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
            if name.is_empty() || name.len() > 32 || !name.chars().all(slug) {
                return Err(CommandError::invalid("rendition", "must be 1 to 32 letters, digits, '-' or '_'"));
            }
        }
        RestreamRendition::Inline(rendition) => rendition
            .check()
            .map_err(|fault| CommandError::invalid(format!("rendition.{}", fault.field), fault.problem))?,
    }
    if let (Some(start), Some(stop)) = (restream.schedule.start_at, restream.schedule.stop_at)
        && stop <= start
    {
        return Err(CommandError::invalid("schedule.stop_at", "must be after start_at"));
    }
    Ok(())
}

/// The error for a URL: the message names the parameter at fault, and the field says where the URL is.
fn url_fault(field: &str, fault: &UrlFault) -> CommandError {
    if fault.is_later { CommandError::not_available(field) } else { CommandError::invalid(field, fault) }
}
