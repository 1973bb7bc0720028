//! What a stream, destination or restream must be like before it is stored.

use super::{CommandError, Result};
use weir_model::{
    Destination, Ladder, LadderFault, MAX_DVR_SECONDS, MAX_PLAYLIST_ITEMS, MAX_URL_BYTES, Platforms, PushUrl,
    PushUrlFault, Restream, RestreamRendition, SavedLadder, SavedLadderFault, Slate, Slot, SourceKind, Stream, Target,
    checked_label, checked_passphrase,
};

const PULL_SCHEMES: [&str; 7] = ["rtmp://", "rtmps://", "srt://", "rtsp://", "http://", "https://", "file://"];
const PLAYLIST_SUFFIXES: [&str; 4] = [".flv", ".mp4", ".mkv", ".ts"];
/// The longest path Linux takes.
const MAX_PATH_BYTES: usize = 4_096;

/// Puts the sources in order, too.
pub(super) fn check_stream(stream: &mut Stream) -> Result<()> {
    let invalid = CommandError::invalid;
    if stream.sources.is_empty() {
        return Err(invalid("sources", "must name at least a primary source"));
    }
    stream.sources.sort_by_key(|source| source.slot);
    if stream.sources.windows(2).any(|pair| pair[0].slot == pair[1].slot) {
        return Err(invalid("sources", "must use each slot once"));
    }
    if stream.sources[0].slot != Slot::Primary {
        return Err(invalid("sources", "must have a primary beside the backup"));
    }
    for source in &stream.sources {
        match &source.kind {
            SourceKind::Push { .. } => {}
            SourceKind::Pull { uri } => check_pull(uri.expose())?,
            SourceKind::Playlist { items, .. } => check_playlist(items)?,
        }
    }
    // Whether there is one of a name is for the store to say.
    if let Some(ladder @ Ladder::Inline(_)) = &stream.ladder {
        ladder.check().map_err(|fault| ladder_fault("ladder", fault))?;
    }
    if stream.dvr_seconds > MAX_DVR_SECONDS {
        return Err(invalid("dvr_seconds", "must be at most 86400"));
    }
    if let Some(Slate::File(path)) = &stream.slate {
        check_path("slate", path)?;
    }
    stream.logo.check().map_err(|fault| CommandError::invalid(format!("logo.{}", fault.field), fault.problem))?;
    if let Some(passphrase) = &stream.srt_passphrase {
        checked_passphrase(passphrase.expose()).map_err(|problem| invalid("srt_passphrase", problem))?;
    }
    Ok(())
}

pub(super) fn check_ladder(ladder: &SavedLadder) -> Result<()> {
    ladder.check().map_err(|fault| match fault {
        SavedLadderFault::Renditions(fault) => ladder_fault("renditions", fault),
        SavedLadderFault::Title => CommandError::invalid("title", fault),
        SavedLadderFault::Name | SavedLadderFault::Builtin => CommandError::invalid("name", fault),
    })
}

fn ladder_fault(field: &str, fault: LadderFault) -> CommandError {
    match fault {
        LadderFault::Rendition(fault) => CommandError::invalid(format!("{field}.{}", fault.field), fault.problem),
        other => CommandError::invalid(field, other),
    }
}

fn check_pull(uri: &str) -> Result<()> {
    let invalid = |problem: &str| Err(CommandError::invalid("sources.uri", problem));
    if uri.len() > MAX_URL_BYTES {
        return invalid("must be at most 2048 bytes long");
    }
    if uri.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return invalid("must not contain blanks or control characters");
    }
    let known = |scheme: &&str| uri.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    match PULL_SCHEMES.iter().find(|scheme| known(scheme)) {
        Some(scheme) if uri.len() > scheme.len() => Ok(()),
        Some(_) => invalid("has nothing after its scheme"),
        None => invalid("must begin with rtmp://, rtmps://, srt://, rtsp://, http://, https:// or file://"),
    }
}

fn check_playlist(items: &[String]) -> Result<()> {
    if items.is_empty() || items.len() > MAX_PLAYLIST_ITEMS {
        return Err(CommandError::invalid("sources.items", "must have 1 to 1000 items"));
    }
    for item in items {
        let path = item.strip_prefix("file://").unwrap_or(item);
        check_path("sources.items", path)?;
        let lower = path.to_ascii_lowercase();
        if !PLAYLIST_SUFFIXES.iter().any(|suffix| lower.ends_with(suffix)) {
            return Err(CommandError::invalid("sources.items", "must be .flv, .mp4, .mkv or .ts files"));
        }
    }
    Ok(())
}

fn check_path(field: &str, path: &str) -> Result<()> {
    if !path.starts_with('/') || path.len() > MAX_PATH_BYTES || path.chars().any(char::is_control) {
        return Err(CommandError::invalid(field, "must be an absolute path"));
    }
    Ok(())
}

pub(super) fn check_destination(destination: &mut Destination, platforms: &Platforms) -> Result<()> {
    destination.name = checked_label(&destination.name).map_err(|fault| CommandError::invalid("name", fault))?;
    if platforms.get(&destination.platform).is_none() {
        let known: Vec<&str> = platforms.all().iter().map(|platform| platform.id.as_str()).collect();
        return Err(CommandError::invalid("platform", format!("must be one of {}", known.join(", "))));
    }
    let urls = [("url", Some(&destination.url)), ("backup_url", destination.backup_url.as_ref())];
    for (field, url) in urls {
        if let Some(url) = url {
            PushUrl::check_server(url.expose()).map_err(|fault| CommandError::invalid(field, fault))?;
        }
    }
    Ok(())
}

/// `destination` is the one that the restream names, if it names one that exists.
pub(super) fn check_restream(restream: &mut Restream, destination: Option<&Destination>) -> Result<()> {
    restream.name = checked_label(&restream.name).map_err(|fault| CommandError::invalid("name", fault))?;
    match &restream.target {
        Target::Uri(uri) => PushUrl::parse(uri.expose()).map(drop).map_err(|fault| url_fault("uri", &fault))?,
        Target::Destination { stream_key, .. } => {
            let destination =
                destination.ok_or_else(|| CommandError::invalid("destination_id", "names nothing that exists"))?;
            PushUrl::from_server_and_key(destination.url.expose(), stream_key.expose())
                .map(drop)
                .map_err(|fault| url_fault("stream_key", &fault))?;
        }
    }
    if let Some(uri) = &restream.backup_uri {
        PushUrl::parse(uri.expose()).map_err(|fault| url_fault("backup_uri", &fault))?;
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

/// The message names the URL's parameter at fault, the field says where the URL is.
fn url_fault(field: &str, fault: &PushUrlFault) -> CommandError {
    CommandError::invalid(field, fault)
}
