//! `trap-server messages`.

use trap_server::config::Config;

use super::Failure;

#[derive(clap::Args)]
pub(crate) struct Args {}

pub(super) fn run(_: &Args, _: &Config) -> Result<(), Failure> {
    Err(Failure::usage("not yet"))
}
