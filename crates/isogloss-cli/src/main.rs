//! The `isogloss` program: arguments in, the library's work, results to stdout, everything else to stderr.

mod commands;
mod failure;
mod input;
mod output;
mod progress;

use clap::{ArgAction, Parser};
use commands::Command;
use failure::Failure;
use std::io::IsTerminal as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

const AFTER_HELP: &str = "\
Examples:
  isogloss translate --model m2m100_418M --from eng_Latn --to deu_Latn < in.txt > out.txt
  isogloss evaluate --model m2m100_418M --data devtest --languages eng_Latn,deu_Latn --out s.json
  isogloss score --hypotheses system.txt --references reference.txt --metric bleu,chrf++

Exit codes: 0 done, 1 a check failed, 2 wrong usage or input, 3 internal error,
130 stopped by Ctrl-C after saving.
Results go to stdout, progress and messages to stderr.";

/// Language-specific low-rank adaptation of multilingual translation models
#[derive(Debug, Parser)]
#[command(name = "isogloss", version, after_help = AFTER_HELP)]
struct Cli {
    /// More messages: -v for details, -vv for everything
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,
    /// Errors only
    #[arg(short, long, global = true)]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    // Clap's own: help and version are success, anything else wrong usage (2).
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    start_messages(cli.verbose, cli.quiet);
    // The panic's message is on stderr already; what is left is to keep to the promised exit code.
    match catch_unwind(AssertUnwindSafe(|| cli.command.run(cli.quiet))) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failure)) => failure.report(),
        Err(_) => Failure::internal(anyhow::anyhow!("the program broke off"))
            .hint("this is a fault of the program: please report it, with the message above")
            .report(),
    }
}

/// Messages of the library to stderr; `ISOGLOSS_LOG` sets a filter of its own.
fn start_messages(verbose: u8, quiet: bool) {
    let level = match (quiet, verbose) {
        (true, _) => "error",
        (false, 0) => "warn,isogloss=info",
        (false, 1) => "warn,isogloss=debug",
        (false, _) => "trace",
    };
    let filter = EnvFilter::try_from_env("ISOGLOSS_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Colours are for a terminal; in a file they are noise.
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .with_target(false)
        // Of a message that can't be written it would complain where that can't be written either, and panic.
        .log_internal_errors(false)
        .init();
}
