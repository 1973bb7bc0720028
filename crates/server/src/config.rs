//! The configuration: a TOML file, overlaid by environment variables. Reading it binds nothing.

mod manual;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use ipnet::IpNet;
use weir_api::RawUriRule;
use weir_net::{Egress, TrustedProxies};
use weir_packager::{DvrLimits, RecordingLimits, SpaceLimits};
use weir_transcode::EncodingOptions;

use self::manual::KEYS;
pub(crate) use self::manual::is_live;
use crate::descriptors::Connections;
use crate::listeners::{PROTOCOLS, Protocol};
use crate::logging::LogFilter;
use crate::public_url::PublicUrl;
use crate::webrtc::{self, WebrtcConfig};

const ENV_PREFIX: &str = "WEIR_";

/// Variables with our prefix that are no configuration keys.
const OTHER_ENV: [&str; 4] = ["WEIR_ADMIN_PASSWORD", "WEIR_ADMIN_APIKEY", "WEIR_CONFIG", "WEIR_DATA"];

/// Sections of later versions, so that their keys are told apart from mistakes.
const LATER_SECTIONS: [&str; 6] = ["auth.", "cluster.", "hooks.", "sources.", "storage.", "webrtc."];

/// The settings that the server runs by. An address that is None is off.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// The texts that it was made from.
    pub(crate) values: Values,
    pub(crate) public_url: Option<PublicUrl>,
    pub(crate) public_host: Option<String>,
    pub(crate) log_filter: LogFilter,
    pub(crate) trusted_proxies: TrustedProxies,
    pub(crate) http: Option<SocketAddr>,
    pub(crate) https: Option<SocketAddr>,
    pub(crate) http_connections: Connections,
    pub(crate) http_requests_per_ip_max: usize,
    pub(crate) http_head_timeout: Duration,
    pub(crate) http_stall_timeout: Duration,
    pub(crate) metrics_need_key: bool,
    pub(crate) listeners: Vec<Listen>,
    pub(crate) srt_latency: Duration,
    pub(crate) webrtc: Option<WebrtcConfig>,
    /// Of those that come by TCP.
    pub(crate) webrtc_connections: Connections,
    pub(crate) tls: Tls,
    pub(crate) egress: Egress,
    /// As they are written: those that are relative lie in the data directory.
    pub(crate) media_dirs: Vec<PathBuf>,
    pub(crate) raw_uris: RawUriRule,
    pub(crate) database_url: Option<String>,
    pub(crate) lanes: Option<usize>,
    pub(crate) send_buffer_bytes: u32,
    /// The memory limit of each worker; None means what its plan can need at most.
    pub(crate) worker_memory_bytes: Option<u64>,
    pub(crate) encoding_cores: Option<f64>,
    pub(crate) worker_cpu_cores: Option<f64>,
    pub(crate) dvr: DvrLimits,
    pub(crate) recording: RecordingLimits,
}

/// What people connect by, beside HTTP.
#[derive(Clone, Copy)]
pub(crate) struct Listen {
    pub(crate) protocol: &'static Protocol,
    /// None: it is off.
    pub(crate) address: Option<SocketAddr>,
    pub(crate) connections: Connections,
}

impl fmt::Debug for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Listen").field(&self.protocol.name).field(&self.address).field(&self.connections).finish()
    }
}

fn listeners(values: &Values, tls: &Tls) -> anyhow::Result<Vec<Listen>> {
    let listen = |protocol: &'static Protocol| {
        let address = values.address(&format!("{}.listen", protocol.name))?;
        Ok(Listen {
            protocol,
            address: address.filter(|_| !protocol.has_tls || tls.can_serve()),
            connections: values.connections(protocol.connections)?,
        })
    };
    PROTOCOLS.iter().map(listen).collect()
}

#[derive(Clone, Debug)]
pub(crate) struct Tls {
    /// The certificate chain and the key, both PEM files.
    pub(crate) own: Option<(PathBuf, PathBuf)>,
    pub(crate) self_signed: bool,
    pub(crate) ca: Option<PathBuf>,
}

impl Tls {
    pub(crate) fn can_serve(&self) -> bool {
        self.own.is_some() || self.self_signed
    }
}

/// Reads the file, if one is given, and the environment.
pub(crate) fn load(file: Option<&Path>) -> anyhow::Result<Config> {
    let text = match file {
        Some(path) => std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?,
        None => String::new(),
    };
    let values = values(&text, std::env::vars())?;
    Config::from_values(&Values(values))
}

/// Every key's value as text: the default, replaced by the file's, replaced by the environment's.
fn values(text: &str, env: impl Iterator<Item = (String, String)>) -> anyhow::Result<BTreeMap<String, String>> {
    let mut values: BTreeMap<String, String> = KEYS.iter().map(|key| (key.name.clone(), key.default.clone())).collect();
    let table: toml::Table = text.parse().context("the configuration file is not valid TOML")?;
    let mut given = Vec::new();
    flatten("", &table, &mut given)?;
    for (name, value) in env {
        let Some(rest) = name.strip_prefix(ENV_PREFIX) else { continue };
        let key = rest.to_lowercase().replace("__", ".");
        // A name without a section may be a variable of some other program.
        if OTHER_ENV.contains(&name.as_str()) || !(key.contains('.') || KEYS.iter().any(|known| known.name == key)) {
            continue;
        }
        given.push((key, value));
    }
    for (key, value) in given {
        match values.get_mut(&key) {
            Some(slot) => *slot = value,
            None if LATER_SECTIONS.iter().any(|section| key.starts_with(section)) => {
                bail!("{key} is not available in this version: take it out of the configuration")
            }
            None => bail!("unknown configuration key {key:?}; did you mean {:?}?", nearest(&key)),
        }
    }
    Ok(values)
}

/// Adds the keys of a table to `into`, each with its value as text.
fn flatten(prefix: &str, table: &toml::Table, into: &mut Vec<(String, String)>) -> anyhow::Result<()> {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let text = match value {
            toml::Value::Table(table) => {
                flatten(&key, table, into)?;
                continue;
            }
            toml::Value::String(text) => text.clone(),
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Boolean(flag) => flag.to_string(),
            toml::Value::Array(items) => {
                let texts: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
                texts.with_context(|| format!("{key} must be a list of strings"))?.join(",")
            }
            toml::Value::Float(_) | toml::Value::Datetime(_) => bail!("{key} has a value of a kind that no key takes"),
        };
        into.push((key, text));
    }
    Ok(())
}

fn nearest(key: &str) -> &'static str {
    let distance = |known: &str| strsim::damerau_levenshtein(known, key);
    KEYS.iter().map(|known| known.name.as_str()).min_by_key(|known| distance(known)).unwrap_or_default()
}

/// Every key's value as text.
#[derive(Clone, Debug)]
pub(crate) struct Values(BTreeMap<String, String>);

impl Values {
    /// The keys whose value differs in the other values.
    pub(crate) fn changed_from(&self, other: &Self) -> impl Iterator<Item = &'static str> {
        KEYS.iter().map(|key| key.name.as_str()).filter(|key| self.text(key) != other.text(key))
    }

    /// Takes the values of these keys from there.
    pub(crate) fn take(&mut self, keys: &[&str], from: &Self) {
        for (key, value) in &mut self.0 {
            if keys.contains(&key.as_str()) {
                from.text(key).clone_into(value);
            }
        }
    }

    pub(crate) fn text(&self, key: &str) -> &str {
        self.0.get(key).map_or("", |value| value.trim())
    }

    fn some(&self, key: &str) -> Option<String> {
        Some(self.text(key)).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    fn parsed<T: std::str::FromStr>(&self, key: &str, expected: &str) -> anyhow::Result<T> {
        let text = self.text(key);
        text.parse().ok().with_context(|| format!("{key} = {text:?} is not {expected}"))
    }

    pub(crate) fn address(&self, key: &str) -> anyhow::Result<Option<SocketAddr>> {
        if self.text(key).is_empty() {
            return Ok(None);
        }
        self.parsed(key, "an address with a port such as \"0.0.0.0:1935\" (empty: off)").map(Some)
    }

    /// A time limit of at least one second.
    fn seconds(&self, key: &str) -> anyhow::Result<Duration> {
        let seconds: u64 = self.parsed(key, "a number of seconds")?;
        if !(1..=3_600).contains(&seconds) {
            bail!("{key} must be from 1 to 3600");
        }
        Ok(Duration::from_secs(seconds))
    }

    pub(crate) fn connections(&self, section: &str) -> anyhow::Result<Connections> {
        Ok(Connections {
            max: self.parsed(&format!("{section}.connections_max"), "a number")?,
            per_ip_max: self.parsed(&format!("{section}.connections_per_ip_max"), "a number")?,
        })
    }

    /// A list of networks; a bare address is a network of its own.
    fn networks(&self, key: &str) -> anyhow::Result<Vec<IpNet>> {
        let items = self.text(key).split(',').map(str::trim).filter(|item| !item.is_empty());
        let parse = |item: &str| item.parse::<IpNet>().or_else(|_| item.parse::<std::net::IpAddr>().map(IpNet::from));
        items.map(|item| parse(item).ok().with_context(|| format!("{key}: {item:?} is not a network"))).collect()
    }
}

impl Config {
    /// The name by which others know this machine.
    pub(crate) fn host(&self) -> Option<&str> {
        self.public_host.as_deref().or(self.public_url.as_ref().map(PublicUrl::host))
    }

    fn from_values(values: &Values) -> anyhow::Result<Self> {
        let own = match (values.some("tls.cert"), values.some("tls.key")) {
            (Some(cert), Some(key)) => Some((cert.into(), key.into())),
            (None, None) => None,
            _ => bail!("tls.cert and tls.key belong together: one of them is missing"),
        };
        let tls = Tls {
            own,
            self_signed: values.parsed("tls.self_signed", "true or false")?,
            ca: values.some("tls.ca").map(Into::into),
        };
        let https = values.address("https.listen")?;
        if https.is_some() && !tls.can_serve() {
            bail!("https.listen needs a certificate: set tls.cert and tls.key, or tls.self_signed = true");
        }
        let public_url: Option<PublicUrl> = values
            .some("public_url")
            .map(|_| values.parsed("public_url", "an address such as \"https://weir.example\", without a path"))
            .transpose()?;
        let lanes: usize = values.parsed("media.lanes", "a number")?;
        let send_buffer_kb: u32 = values.parsed("media.send_buffer_kb", "a number")?;
        if !(16..=16_384).contains(&send_buffer_kb) {
            bail!("media.send_buffer_kb must be from 16 to 16384");
        }
        let config = Self {
            values: values.clone(),
            public_host: values.some("public_host"),
            public_url,
            trusted_proxies: TrustedProxies::new(values.networks("http.trusted_proxies")?),
            log_filter: values.text("log.level").parse().context("log.level")?,
            http: values.address("http.listen")?,
            https,
            http_connections: values.connections("http")?,
            http_requests_per_ip_max: values.parsed("http.requests_per_ip_max", "a number")?,
            http_head_timeout: values.seconds("http.head_seconds")?,
            http_stall_timeout: values.seconds("http.stall_seconds")?,
            metrics_need_key: metrics_need_key(values)?,
            listeners: listeners(values, &tls)?,
            srt_latency: srt_latency(values)?,
            webrtc: webrtc::config(values)?,
            webrtc_connections: webrtc::TCP_CONNECTIONS,
            egress: Egress::new(values.networks("egress.deny")?, values.networks("egress.allow")?),
            media_dirs: media_dirs(values),
            raw_uris: raw_uris(values.text("restreams.raw_uri"))?,
            database_url: values.some("database.url"),
            lanes: Some(lanes).filter(|lanes| *lanes > 0),
            send_buffer_bytes: send_buffer_kb << 10,
            worker_memory_bytes: worker_memory(values)?,
            encoding_cores: cores(values, "transcode.cpu_percent")?,
            worker_cpu_cores: cores(values, "transcode.worker_cpu_percent")?,
            dvr: dvr_limits(values)?,
            recording: recording_limits(values)?,
            tls,
        };
        if config.http.is_none() && config.https.is_none() {
            bail!("http.listen and https.listen are both off: nobody could reach the API");
        }
        Ok(config)
    }

    /// How many may connect by that protocol.
    pub(crate) fn connections(&self, protocol: &Protocol) -> Connections {
        let listen = self.listeners.iter().find(|listen| std::ptr::eq(listen.protocol, protocol));
        listen.map(|listen| listen.connections).unwrap_or_default()
    }

    /// The options for all transcoding; `abilities` is the file of what this machine can do.
    pub(crate) fn encoding_options(&self, abilities: PathBuf) -> EncodingOptions {
        EncodingOptions {
            cache: Some(abilities),
            worker_memory_bytes: self.worker_memory_bytes,
            cores: self.encoding_cores,
            worker_cpu_cores: self.worker_cpu_cores,
        }
    }
}

fn media_dirs(values: &Values) -> Vec<PathBuf> {
    let dirs = values.text("sources.media_dirs").split(',').map(str::trim);
    dirs.filter(|dir| !dir.is_empty()).map(PathBuf::from).collect()
}

fn raw_uris(role: &str) -> anyhow::Result<RawUriRule> {
    match role {
        "admin" => Ok(RawUriRule::ADMIN),
        "operator" => Ok(RawUriRule::OPERATOR),
        _ => bail!("restreams.raw_uri = {role:?} is neither \"admin\" nor \"operator\""),
    }
}

/// Whether a key is needed to read the metrics.
fn metrics_need_key(values: &Values) -> anyhow::Result<bool> {
    match values.text("http.metrics") {
        "open" => Ok(false),
        "key" => Ok(true),
        other => bail!("http.metrics = {other:?} is not \"open\" or \"key\""),
    }
}

fn srt_latency(values: &Values) -> anyhow::Result<Duration> {
    let latency_ms: u64 = values.parsed("srt.latency_ms", "a number")?;
    // A minute is allowed, as for pushes: a larger value is a mistake of units.
    if latency_ms > 60_000 {
        bail!("srt.latency_ms must be at most 60000");
    }
    Ok(Duration::from_millis(latency_ms))
}

fn worker_memory(values: &Values) -> anyhow::Result<Option<u64>> {
    let megabytes: u32 = values.parsed("transcode.worker_memory_mb", "a number of megabytes")?;
    // GStreamer and its plugins alone take 60 MB, and a ladder of four 133 MB: with less than this nothing would ever run.
    if (1..256).contains(&megabytes) {
        bail!("transcode.worker_memory_mb must be 0 or at least 256");
    }
    Ok(Some(u64::from(megabytes) << 20).filter(|bytes| *bytes > 0))
}

/// A number of cores; None means all.
fn cores(values: &Values, name: &str) -> anyhow::Result<Option<f64>> {
    let percent: u32 = values.parsed(name, "a number")?;
    // A tenth of a core decodes nothing in time.
    if (1..10).contains(&percent) || percent > 100_000 {
        bail!("{name} must be 0 or from 10 to 100000");
    }
    Ok(Some(f64::from(percent) / 100.0).filter(|cores| *cores > 0.0))
}

fn dvr_limits(values: &Values) -> anyhow::Result<DvrLimits> {
    let memory_seconds: u64 = values.parsed("dvr.memory_seconds", "a number")?;
    // Playlists reach back at least six segments, and players want the newest ones at once.
    if !(12..=600).contains(&memory_seconds) {
        bail!("dvr.memory_seconds must be from 12 to 600");
    }
    let space = space_limits(values, "dvr.max_disk_mb", "dvr.min_free_mb")?;
    Ok(DvrLimits { space, memory_window: Duration::from_secs(memory_seconds) })
}

fn recording_limits(values: &Values) -> anyhow::Result<RecordingLimits> {
    let minutes: u64 = values.parsed("recording.file_minutes", "a number")?;
    if !(1..=1_440).contains(&minutes) {
        bail!("recording.file_minutes must be from 1 to 1440");
    }
    let space = space_limits(values, "recording.max_disk_mb", "recording.min_free_mb")?;
    Ok(RecordingLimits { space, file_duration: Duration::from_secs(minutes * 60) })
}

fn space_limits(values: &Values, max: &str, min_free: &str) -> anyhow::Result<SpaceLimits> {
    // 32 bits of megabytes are 4 PB, which fit when shifted.
    let bytes = |key: &str| anyhow::Ok(u64::from(values.parsed::<u32>(key, "a number of megabytes")?) << 20);
    Ok(SpaceLimits { max_bytes: bytes(max)?, min_free_bytes: bytes(min_free)? })
}

/// The configuration where nothing is set.
#[cfg(test)]
pub(crate) fn defaults() -> Config {
    tests::read("[tls]\nself_signed = true\n", &[]).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn read(text: &str, env: &[(&str, &str)]) -> Result<Config, String> {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        values(text, env).and_then(|values| Config::from_values(&Values(values))).map_err(|error| format!("{error:#}"))
    }

    fn address(config: &Config, protocol: &str) -> Option<SocketAddr> {
        config.listeners.iter().find(|listen| listen.protocol.name == protocol).unwrap().address
    }

    #[test]
    fn defaults_file_and_environment() {
        let config = read("", &[]).unwrap();
        assert_eq!(address(&config, "rtmp").unwrap().port(), 1935);
        assert!(address(&config, "rtmps").is_none(), "off without a certificate");
        let text = "public_host = \"weir.example\"\n[rtmp]\nlisten = \"127.0.0.1:5\"\n[tls]\nself_signed = true\n";
        let config = read(text, &[("WEIR_RTMP__LISTEN", "127.0.0.1:0"), ("WEIR_WEBRTC__UDP_PORTS", "10000-10100")]);
        let config = config.unwrap();
        assert_eq!(address(&config, "rtmp").unwrap().port(), 0, "the environment wins");
        assert_eq!(config.public_host.as_deref(), Some("weir.example"));
        assert_eq!(address(&config, "rtmps").unwrap().port(), 1936);
        assert!(address(&read("[rtmp]\nlisten = \"\"\n", &[]).unwrap(), "rtmp").is_none());
        let config = read(
            "",
            &[("WEIR_PUBLIC_URL", "https://weir.example:8443"), ("WEIR_HTTP__TRUSTED_PROXIES", "::1,10.0.0.0/8")],
        );
        let config = config.unwrap();
        assert_eq!((config.public_host.as_deref(), config.host()), (None, Some("weir.example")));
        assert!(config.trusted_proxies.trusts("10.2.3.4".parse().unwrap()));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, env, expected) in [
            (
                "[rtmp]\nlistn = \"x\"\n",
                &[][..],
                "unknown configuration key \"rtmp.listn\"; did you mean \"rtmp.listen\"?",
            ),
            ("", &[("WEIR_RTMPS__LISTENS", "")], "did you mean \"rtmps.listen\"?"),
            ("[http]\nlisten = \"8080\"\n", &[], "http.listen = \"8080\" is not an address"),
            ("[https]\nlisten = \"127.0.0.1:0\"\n", &[], "https.listen needs a certificate"),
            ("public_url = \"weir.example\"\n", &[], "public_url = \"weir.example\" is not an address such as"),
            ("[http]\ntrusted_proxies = [\"10.0.0.0/33\"]\n", &[], "http.trusted_proxies: \"10.0.0.0/33\" is not a"),
            ("[http]\nhead_seconds = 0\n", &[], "http.head_seconds must be from 1 to 3600"),
            ("[http]\nmetrics = \"closed\"\n", &[], "http.metrics = \"closed\" is not"),
            ("[tls]\ncert = \"a.pem\"\n", &[], "tls.cert and tls.key belong together"),
            ("[egress]\ndeny = [\"10.0.0.0/33\"]\n", &[], "egress.deny: \"10.0.0.0/33\" is not a network"),
            ("[restreams]\nraw_uri = \"viewer\"\n", &[], "neither \"admin\" nor \"operator\""),
            ("[webrtc]\nudp_ports = \"20000\"\n", &[], "webrtc.udp_ports = \"20000\" is not a range"),
            ("[webrtc]\nudp_ports = \"20000-20005\"\n", &[], "must have more than 10 ports"),
            ("[webrtc]\nengine = \"x\"\n", &[], "webrtc.engine = \"x\" is neither"),
            ("[webrtc]\nudp_listen = \"\"\ntcp_listen = \"127.0.0.1:0\"\n", &[], "webrtc.tcp_listen needs webrtc.udp"),
            (
                "[webrtc]\npublic_ips = [\"weir.example\"]\n",
                &[],
                "webrtc.public_ips: \"weir.example\" is not an address",
            ),
            ("[webrtc]\nice_servers = [\"http://h\"]\n", &[], "webrtc.ice_servers: \"http://h\" is neither"),
            ("", &[("WEIR_HOOKS__PUBLISH_URL", "http://h")], "hooks.publish_url is not available in this version"),
            ("[http]\nlisten = \"\"\n", &[], "both off"),
            ("[srt]\nlatency_ms = 2500000\n", &[], "srt.latency_ms must be at most 60000"),
            ("[transcode]\nworker_memory_mb = 100\n", &[], "worker_memory_mb must be 0 or at least 256"),
            ("[transcode]\nworker_cpu_percent = 5\n", &[], "worker_cpu_percent must be 0 or from 10"),
            ("[transcode]\ncpu_percent = 9\n", &[], "transcode.cpu_percent must be 0 or from 10"),
            ("[dvr]\nmemory_seconds = 5\n", &[], "dvr.memory_seconds must be from 12"),
            ("[dvr]\nmax_disk_mb = -1\n", &[], "dvr.max_disk_mb = \"-1\" is not a number of megabytes"),
            ("[recording]\nfile_minutes = 0\n", &[], "recording.file_minutes must be from 1"),
            ("x = [", &[], "not valid TOML"),
        ] {
            let error = read(text, env).unwrap_err();
            assert!(error.contains(expected), "{error:?} does not say {expected:?}");
        }
    }

    #[test]
    fn other_variables_are_left_alone() {
        let env = [("WEIR_ADMIN_PASSWORD", "x"), ("WEIR_FOO", "x"), ("RTMP__LISTEN", "x"), ("WEIR_DATA", "d")];
        assert!(read("", &env).is_ok());
    }

    #[test]
    fn egress_rules_come_from_both_lists() {
        let text = "[egress]\ndeny = [\"10.0.0.0/8\", \"::1\"]\nallow = [\"10.1.0.0/16\"]\n";
        let egress = read(text, &[]).unwrap().egress;
        for (address, permitted) in [("10.2.3.4", false), ("10.1.3.4", true), ("::1", false), ("8.8.8.8", true)] {
            assert_eq!(egress.permits(address.parse().unwrap()), permitted, "{address}");
        }
    }

    #[test]
    fn what_was_changed_is_known_by_its_key() {
        let old = read("", &[]).unwrap().values;
        let new = read("[rtmp]\nconnections_max = 5\n[tls]\nself_signed = true\n", &[]).unwrap().values;
        let changed = |to: &Values| new.changed_from(to).collect::<Vec<_>>();
        assert_eq!(changed(&old), ["rtmp.connections_max", "tls.self_signed"]);
        let mut in_force = old;
        in_force.take(&["rtmp.connections_max"], &new);
        assert_eq!(changed(&in_force), ["tls.self_signed"], "named until the restart");
    }
}
