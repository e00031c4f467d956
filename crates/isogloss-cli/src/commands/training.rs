//! What `train` and `pretrain` share: options, dry runs, the end of a run.

use super::compute::PrecisionArg;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::progress::Progress;
pub(crate) use isogloss::compare::duration;
use isogloss::config::{Compute, ConfigError};
use isogloss::train::{self, Estimate, TensorBoard, TrainError, Trained};
use isogloss_kernels::{Backend, CpuError, Epilogue, Mat, MatMut};
use serde::de::DeserializeOwned;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Options of both commands.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// Configuration of the run
    #[arg(value_name = "CONFIG.toml")]
    pub config: PathBuf,
    /// Say what the run would take, and start nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    /// Write curves here as well, as event files for tensorboard
    #[arg(long, value_name = "DIR")]
    pub tensorboard: Option<PathBuf>,
    /// Threads; 0 takes all cores [default: the configuration's]
    #[arg(long, value_name = "N", env = "ISOGLOSS_THREADS")]
    pub threads: Option<usize>,
    /// What matrix products are computed from [default: the configuration's]
    #[arg(long, value_name = "TYPE", env = "ISOGLOSS_PRECISION")]
    pub precision: Option<PrecisionArg>,
}

impl RunArgs {
    /// The configuration, and the folder that its paths start at.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Outcome<(T, PathBuf)> {
        let config = isogloss::config::read(&self.config).map_err(config_failure)?;
        let dir = match self.config.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir.to_owned(),
            _ => PathBuf::from("."),
        };
        Ok((config, dir))
    }

    /// Progress of the run, on the terminal and for `TensorBoard`.
    pub(crate) fn progress(&self, quiet: bool) -> Outcome<Progress> {
        let progress = Progress::start(quiet);
        match &self.tensorboard {
            None => Ok(progress),
            Some(dir) => {
                let board = TensorBoard::create(dir).map_err(Failure::input)?;
                Ok(progress.with_board(board))
            }
        }
    }

    /// What there is in place of `--tensorboard`, for [`refuse_board`](Self::refuse_board).
    pub(crate) const CURVES: &str = "leave it out; every run keeps its curves in its own folder, in events.jsonl, and `isogloss report` draws them";

    /// Refuses `--tensorboard` for a command that trains several runs; `hint` says what there is instead.
    pub(crate) fn refuse_board(&self, command: &str, hint: &'static str) -> Outcome {
        if self.tensorboard.is_none() {
            return Ok(());
        }
        let message = format!(
            "`--tensorboard` can't be used with `isogloss {command}`: it trains one run after another, whose curves would overlap \
             in one board"
        );
        Err(Failure::input(anyhow::Error::msg(message)).hint(hint))
    }

    /// The machine's share, with the options of the command line.
    pub(crate) fn compute(&self, config: Compute) -> Compute {
        Compute {
            threads: self.threads.unwrap_or(config.threads),
            precision: self.precision.map_or(config.precision, Into::into),
            ..config
        }
    }

    /// Prints what a run would take.
    pub(crate) fn print_estimate(&self, estimate: &Estimate, compute: Compute) -> Outcome {
        let speed = speed(compute).map_err(Failure::input)?;
        let seconds = estimate.seconds(speed);
        if self.json {
            let mut value = serde_json::to_value(estimate).map_err(Failure::internal)?;
            value["seconds"] = seconds.into();
            return output::print(&format!("{value:#}\n"));
        }
        output::print(&describe(estimate, seconds))
    }
}

fn config_failure(error: ConfigError) -> Failure {
    Failure::input(error)
}

/// An error of a run, with what to do about it.
pub(crate) fn train_failure(error: TrainError) -> Failure {
    match error {
        TrainError::Reload { .. } => Failure::internal(error),
        _ if no_room(&error) => Failure::internal(error).hint(
            "make room there, or lift the limit; the same command goes on from the last state that was saved",
        ),
        _ => Failure::input(error),
    }
}

/// Whether a file could not be written for want of space.
fn no_room(error: &(dyn std::error::Error + 'static)) -> bool {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    causes.any(|cause| {
        let io = cause.downcast_ref::<std::io::Error>();
        io.is_some_and(|e| matches!(e.kind(), StorageFull | QuotaExceeded | FileTooLarge))
    })
}

/// Floating-point operations a second that training reaches here: half of what a product of common size does.
fn speed(compute: Compute) -> Result<f64, CpuError> {
    let backend = compute.backend()?;
    let n = 512;
    let (a, b, mut c) = (vec![0.5; n * n], vec![0.5; n * n], vec![0.0; n * n]);
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let start = Instant::now();
        let out = MatMut::new(&mut c, n, n);
        backend.matmul(
            Mat::new(&a, n, n),
            Mat::new(&b, n, n).t(),
            Epilogue::default(),
            out,
        );
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(0.5 * 2.0 * (n as f64).powi(3) / best)
}

fn describe(estimate: &Estimate, seconds: f64) -> String {
    let share = |n: usize| 100.0 * n as f64 / estimate.base_parameters as f64;
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<36} {value}");
    };
    line("base parameters", estimate.base_parameters.to_string());
    for (name, count) in &estimate.by_update {
        line(
            &format!("trainable for {name}"),
            format!("{count} ({:.3}%)", share(*count)),
        );
    }
    let counts = [
        ("trainable in all", estimate.trainable),
        ("active for one direction, at most", estimate.active),
        ("left after compaction", estimate.after_compaction),
    ];
    for (name, count) in counts {
        line(name, format!("{count} ({:.3}%)", share(count)));
    }
    line("pairs an epoch", estimate.pairs_per_epoch.to_string());
    line(
        "memory, about",
        format!("{:.2} GB", estimate.memory as f64 / 1e9),
    );
    if let Some(reuse) = &estimate.reuse {
        let megabytes = |bytes: usize| bytes as f64 / 1e6;
        let (layers, all) = (reuse.layers, reuse.encoder_layers);
        line(
            "encoder layers reused",
            format!(
                "{layers} of {all}; all of the text takes {:.1} MB, the limit is {:.0} MB",
                megabytes(reuse.full),
                megabytes(reuse.limit)
            ),
        );
    }
    line("time, about", duration(seconds));
    text
}

/// A line with what the run took, where the system tells.
fn memory(estimate: &Estimate) -> String {
    let gigabytes = |bytes: u64| bytes as f64 / 1e9;
    isogloss::memory::peak_bytes().map_or_else(String::new, |peak| {
        format!(
            "memory: {:.2} GB at most, {:.2} GB expected\n",
            gigabytes(peak),
            gigabytes(estimate.memory as u64)
        )
    })
}

/// Says how a run ended and where its result lies; `more` is what else there is to say, as text and as JSON keys.
pub(crate) fn finish(
    args: &RunArgs,
    compute: Compute,
    trained: &Trained,
    result: &Path,
    estimate: &Estimate,
    more: (String, serde_json::Value),
) -> Outcome {
    let finished = trained.outcome == train::Outcome::Finished;
    let state = &trained.state;
    // The result lies in the run's folder.
    if let Some(run) = result.parent() {
        let command = super::command_line::command(std::env::args());
        let peak = isogloss::memory::peak_bytes();
        train::note_cost(run, compute, (state, estimate), Some(command), peak);
    }
    if args.json {
        let mut value = serde_json::json!({
            "finished": finished,
            "updates": state.update,
            "epochs": state.epoch,
            "target_tokens": state.total_tokens,
            "seconds": state.seconds,
            "validation_nll": state.best_nll,
            "validation_score": state.best,
            "validation_nll_before": state.before.map(|before| before.nll),
            "validation_score_before": state.before.map(|before| before.score()),
            "trainable": estimate.trainable,
            "peak_memory": isogloss::memory::peak_bytes(),
            "predicted_memory": estimate.memory,
            "result": finished.then_some(result),
        });
        if let (Some(all), serde_json::Value::Object(more)) = (value.as_object_mut(), more.1) {
            all.extend(more);
        }
        output::print(&format!("{value:#}\n"))?;
        return match finished {
            true => Ok(()),
            false => Err(interrupted(trained)),
        };
    }
    let time = duration(state.seconds);
    match finished {
        true => output::print(&format!(
            "finished after {} updates, {time}: validation loss {:.4}{}\n{}{}{}\n",
            state.update,
            state.best_nll.unwrap_or(f64::NAN),
            before(trained),
            memory(estimate),
            more.0,
            result.display()
        )),
        false => Err(interrupted(trained)),
    }
}

/// What validation found before the first update, beside what it found in the end.
fn before(trained: &Trained) -> String {
    let state = &trained.state;
    let Some(before) = state.before else {
        return String::new();
    };
    let loss = format!(", before {:.4}", before.nll);
    match (before.chrf, state.best) {
        (Some(chrf), Some(best)) => format!("{loss}; chrF++ {best:.2}, before {chrf:.2}"),
        _ => loss,
    }
}

/// What an interrupted run leaves to say.
pub(crate) fn interrupted(trained: &Trained) -> Failure {
    let state = &trained.state;
    Failure::interrupted(format!(
        "stopped after {} updates, {}; the state is saved. To go on: the same command again",
        state.update,
        duration(state.seconds)
    ))
}
