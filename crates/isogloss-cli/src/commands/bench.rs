//! `isogloss bench`: how fast this machine does this work, and how fast it could.

mod decode;
mod train;

use crate::failure::{Failure, Outcome};
use crate::output;
use clap::Subcommand;
use indicatif::ProgressBar;
use isogloss::bench::{self, Repeat, Report};
use isogloss_kernels::{Cpu, KernelPath, Precision};
use serde::Serialize;
use std::fmt::Write as _;

const AFTER_HELP: &str = "\
Examples:
  isogloss bench kernels
  isogloss bench train --model m2m100_418M --source in.en --target in.de --from en --to de
  isogloss bench train --model m2m100_418M --source in.en --target in.de --from en --to de --batch 16 --full
  isogloss bench decode --model m2m100_418M --source in.en --from en --to de --beam 5 --json
  isogloss bench decode --model m2m100_418M --source in.en --from en --to de --beam 1 --batch 1
  isogloss bench decode --model m2m100_418M --source in.en --from en --to de --languages 12   # and with --merged

Close other programs first. Times are medians; the ceiling is what a large matrix product reaches in the same run.";

/// Measure speed: matrix products, training steps, decoding
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Large matrix products on every kernel path of this machine; in int8, amxbf16 takes AMX-INT8 where there is one
    Kernels(Kernels),
    /// Training steps over a text, Adam included; loading and tokenizing not
    Train(train::Args),
    /// Translation, encoder included; loading and tokenizing not
    #[command(after_long_help = decode::AFTER_HELP)]
    Decode(decode::Args),
}

/// What all benchmarks have in common.
#[derive(Debug, clap::Args)]
struct Common {
    /// Repetitions that count
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    repeat: u16,
    /// Repetitions before, which don't
    #[arg(long, value_name = "N", default_value_t = 2)]
    warm_up: u16,
    /// Threads; 0 is as many as the machine offers
    #[arg(long, value_name = "N", default_value_t = 0, env = "ISOGLOSS_THREADS")]
    threads: usize,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

impl Common {
    fn repeat(&self) -> Repeat {
        Repeat {
            warm_up: usize::from(self.warm_up),
            count: usize::from(self.repeat),
        }
    }
}

#[derive(Debug, clap::Args)]
struct Kernels {
    /// Threads; 0 is as many as the machine offers
    #[arg(long, value_name = "N", default_value_t = 0, env = "ISOGLOSS_THREADS")]
    threads: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, quiet: bool) -> Outcome {
    match &args.what {
        What::Kernels(args) => kernels(args),
        What::Train(args) => train::run(args, quiet),
        What::Decode(args) => decode::run(args, quiet),
    }
}

/// One path in one precision.
#[derive(Debug, Serialize)]
struct Ceiling {
    kernel_path: String,
    precision: &'static str,
    threads: usize,
    gflops: f64,
}

fn kernels(args: &Kernels) -> Outcome {
    let mut found = Vec::new();
    for path in KernelPath::available() {
        for precision in [Precision::F32, Precision::Bf16, Precision::Int8] {
            let cpu = Cpu::with_path(args.threads, path).map_err(Failure::input)?;
            let cpu = cpu.with_precision(precision);
            found.push(Ceiling {
                kernel_path: path.to_string(),
                precision: precision.name(),
                threads: cpu.threads(),
                gflops: bench::ceiling(&cpu),
            });
        }
    }
    if args.json {
        let text = serde_json::to_string(&found).map_err(Failure::internal)?;
        return output::print(&(text + "\n"));
    }
    let mut text = String::from("Products of 2,048 x 2,048 matrices, GFLOP/s\n");
    for row in found {
        let Ceiling {
            kernel_path,
            precision,
            threads,
            gflops,
        } = row;
        let _ = writeln!(
            text,
            "{kernel_path:12} {precision:5} {threads:3} threads {gflops:9.1}"
        );
    }
    output::print(&text)
}

/// A bar on a terminal. It is drawn between repetitions, never within one.
fn counter(quiet: bool) -> impl FnMut(usize, usize) {
    let bar = match quiet {
        true => ProgressBar::hidden(),
        false => ProgressBar::new(0),
    };
    move |done, of| {
        bar.set_length(of as u64);
        bar.set_position(done as u64);
        if done == of {
            bar.finish_and_clear();
        }
    }
}

fn print(report: &Report, json: bool) -> Outcome {
    if json {
        let text = serde_json::to_string(report).map_err(Failure::internal)?;
        return output::print(&(text + "\n"));
    }
    let r = report;
    let share = 100.0 * r.gflops / r.ceiling_gflops;
    let memory = r.peak_rss_bytes as f64 / 1e6;
    let mut text = format!(
        "target tokens a second  {:10.1}\n\
         seconds, median         {:10.4}  ({:.4} to {:.4}, {} repetitions)\n\
         text                    {:10}  sentences, {} source and {} target tokens\n\
         GFLOP/s                 {:10.1}  {share:.0}% of a large product's {:.1}\n",
        r.target_tokens_per_s,
        r.median_s,
        r.min_s,
        r.max_s,
        r.repetitions,
        r.sentences,
        r.source_tokens,
        r.target_tokens,
        r.gflops,
        r.ceiling_gflops,
    );
    if let Some(steps) = r.steps {
        let _ = writeln!(text, "steps                   {steps:10}  a repetition");
    }
    if let Some(limit) = r.memory {
        let _ = write!(
            text,
            "memory's limit          {:10.1}  tokens a second of a sentence alone: steps read {:.1} MB at {:.1} GB/s",
            limit.limit_tokens_per_s,
            limit.step_weight_bytes as f64 / 1e6,
            limit.memory_gb_per_s,
        );
        if r.batch == Some(1) {
            let share = 100.0 * r.target_tokens_per_s / limit.limit_tokens_per_s;
            let _ = write!(text, "; this is {share:.0}% of it");
        }
        text.push('\n');
    }
    if let Some(c) = r.compacted {
        let _ = writeln!(
            text,
            "the same, compacted     {:10.1}  tokens a second, {:.2} times as fast ({:.4} to {:.4} s), {} of {} parameters",
            c.target_tokens_per_s, c.ratio, c.min_s, c.max_s, c.trainable, r.trainable,
        );
    }
    let (path, threads, precision) = (&r.kernel_path, r.threads, r.precision);
    let _ = write!(
        text,
        "memory at its peak      {memory:10.0}  MB\n\
         machine                 {path}, {threads} threads, {precision}\n",
    );
    output::print(&text)
}
