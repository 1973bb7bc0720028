//! The `weir` binary: reads the configuration, wires the crates together, runs, and drains.

mod addresses;
mod apikey;
mod base;
mod bootstrap;
mod certificate;
mod cli;
mod config;
mod confinement;
mod data_folder;
mod demo;
mod descriptors;
mod doctor;
mod event_ids;
mod http;
mod listeners;
mod logging;
mod owners;
mod public_url;
mod ready_line;
mod reload;
mod serve;
mod shelves;
mod signals;
mod sockets;
mod terminal;
mod transfer;
mod webrtc;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;

use cli::{Apikey, Cli, Command};
use logging::Logging;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> anyhow::Result<ExitCode> {
    data_folder::keep_files_private();
    match Cli::parse().command {
        Command::Serve(command) => {
            let log = logging::start(command.log_format)?;
            confinement::hide_memory();
            Ok(log.end(serve(&command, &log)))
        }
        Command::Doctor(command) => {
            let mut config = config::load(command.locations.config.as_deref())?;
            let descriptors = descriptors::fit(&mut config, descriptors::raise_limit()?);
            control_runtime()?.block_on(doctor::run(&config, descriptors, &command.locations.data, command.json))
        }
        Command::Apikey(Apikey::Create { locations, name, role }) => {
            let config = config::load(locations.config.as_deref())?;
            control_runtime()?.block_on(apikey::create(&config, &locations.data, &name, role))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Export(command) => {
            let config = config::load(command.locations.config.as_deref())?;
            control_runtime()?.block_on(transfer::export(&config, &command.locations.data, command.with_secrets))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Import(command) => {
            let config = config::load(command.locations.config.as_deref())?;
            control_runtime()?.block_on(transfer::import(&config, &command.locations.data, &command.file))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn serve(command: &cli::Serve, log: &Logging) -> anyhow::Result<ExitCode> {
    let mut config = config::load(command.locations.config.as_deref())?;
    log.set_filter(&config.log_filter)?;
    descriptors::fit(&mut config, descriptors::raise_limit()?).tell();
    let runtime = control_runtime()?;
    let outcome = runtime.block_on(serve::run(config, &command.locations, command.demo, log));
    // Everything worth waiting for has ended; a name that is being resolved must not hold up the end.
    runtime.shutdown_background();
    outcome.map(|()| ExitCode::SUCCESS)
}

/// The runtime of API, store and control; media has its lanes.
fn control_runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).thread_name("control").enable_all().build().context("cannot start the runtime")
}
