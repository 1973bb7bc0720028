//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// The version, with the commit that build.rs found.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("WEIR_COMMIT"), ")");

#[derive(Debug, Parser)]
#[command(name = "weir", version = VERSION, about = "One stream in, every destination out: a live restreaming server")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server.
    Serve(Serve),
    /// What this machine can do, by trying; ends with 1 when the server could not run.
    Doctor(Doctor),
    /// API keys; works beside a running server.
    #[command(subcommand)]
    Apikey(Apikey),
    /// Print the whole configuration as one JSON document; works beside a running server.
    Export(Export),
    /// Make everything in such a document again, in a data directory that has no database yet.
    Import(Import),
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    #[command(flatten)]
    pub(crate) locations: Locations,
    /// Write keys and passphrases as they are, for a server with another secret.key; keep that file as you would keep them.
    #[arg(long)]
    pub(crate) with_secrets: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    #[command(flatten)]
    pub(crate) locations: Locations,
    /// What `weir export` wrote.
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) locations: Locations,
    /// Publish a test picture into this server, and push it to a sink of its own.
    #[arg(long)]
    pub(crate) demo: bool,
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) log_format: LogFormat,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    pub(crate) locations: Locations,
    /// For programs.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Apikey {
    /// Print a new key, once.
    Create {
        #[command(flatten)]
        locations: Locations,
        #[arg(long)]
        name: String,
        /// admin, operator or viewer
        #[arg(long, value_parser = role)]
        role: weir_model::Role,
    },
}

/// Where the configuration and the data are.
#[derive(Clone, Debug, Args)]
pub(crate) struct Locations {
    /// The configuration file; without it, every key has its default.
    #[arg(long, env = "WEIR_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// The database and the sealing key live here.
    #[arg(long, env = "WEIR_DATA", default_value = "data")]
    pub(crate) data: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

fn role(text: &str) -> Result<weir_model::Role, String> {
    weir_model::Role::from_name(text).ok_or_else(|| "must be admin, operator or viewer".to_owned())
}
