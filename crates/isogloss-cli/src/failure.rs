//! How a command ends when it does not succeed.

use crate::output;
use std::fmt;
use std::process::ExitCode;

/// What kind of failure it is; decides on the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The command ran, and what it checked doesn't hold: 1.
    Check,
    /// Arguments or input files are wrong: 2.
    Input,
    /// Stopped by Ctrl-C, everything saved: 130, as a shell reports it.
    Interrupted,
    /// Anything that is not the user's to mend: 3.
    Internal,
    /// Whoever read our output has stopped reading; that is no failure: 0.
    ClosedPipe,
}

/// An error with its kind and, where there is one, a hint at what to do.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    error: anyhow::Error,
    hint: Option<String>,
}

/// What a command returns.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// Wrong arguments or input.
    pub(crate) fn input(error: impl Into<anyhow::Error>) -> Self {
        Self {
            kind: Kind::Input,
            error: error.into(),
            hint: None,
        }
    }

    /// A check that failed.
    pub(crate) fn check(message: String) -> Self {
        Self {
            kind: Kind::Check,
            error: anyhow::Error::msg(message),
            hint: None,
        }
    }

    /// A fault of the program or the machine.
    pub(crate) fn internal(error: impl Into<anyhow::Error>) -> Self {
        Self {
            kind: Kind::Internal,
            error: error.into(),
            hint: None,
        }
    }

    /// Stopped on request, after saving.
    pub(crate) fn interrupted(message: String) -> Self {
        Self {
            kind: Kind::Interrupted,
            error: anyhow::Error::msg(message),
            hint: None,
        }
    }

    /// A failed write to stdout.
    pub(crate) fn output(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self {
                kind: Kind::ClosedPipe,
                error: error.into(),
                hint: None,
            };
        }
        Self::internal(anyhow::Error::from(error).context("cannot write to stdout"))
    }

    /// Adds what to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Tells the user, and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        let code = match self.kind {
            Kind::ClosedPipe => return ExitCode::SUCCESS,
            Kind::Check => 1,
            Kind::Input => 2,
            Kind::Internal => 3,
            Kind::Interrupted => 130,
        };
        output::say(self);
        ExitCode::from(code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind == Kind::Interrupted {
            return write!(f, "{}", self.error);
        }
        write!(f, "error: {}", self.error)?;
        // The causes, too, where a message doesn't hold its cause already.
        let mut said = self.error.to_string();
        for cause in self.error.chain().skip(1).map(ToString::to_string) {
            if !said.contains(&cause) {
                write!(f, ": {cause}")?;
                said = cause;
            }
        }
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}
