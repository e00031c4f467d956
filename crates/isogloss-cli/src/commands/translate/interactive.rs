//! Translation a line at a time, as it is typed.

use super::{Args, Served, failure, render};
use crate::commands::decoding;
use crate::failure::{Failure, Outcome};
use crate::output;
use isogloss::decode::{DecodeError, DecodeOptions, Line, Loaded, TextTranslator, Translation};
use isogloss::language::{Direction, Language, LanguageSide};
use isogloss_kernels::Cpu;
use std::io::{BufRead, IsTerminal as _, Read as _, Write as _};
use std::path::Path;

const HELP: &str = "\
Type a sentence and press Enter. Commands:
  :to LANGUAGE     translate into another language
  :from LANGUAGE   translate from another language
  :swap            turn the direction around
  :languages       the languages that the model knows
  :help            this text
  :quit            end, as Ctrl-D does
A line that starts with `::` is text that starts with `:`.
";

/// Most bytes of a line: far more than any model takes, and little enough to be cut into pieces while somebody waits.
const MAX_LINE_BYTES: usize = 1 << 20;

/// What a line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Input<'a> {
    Text(&'a str),
    Switch(LanguageSide, &'a str),
    Swap,
    Languages,
    Help,
    Quit,
    Unknown(&'a str),
}

/// What a line asks for that somebody typed, or that came from a program. Of a program's lines that start with `:` those alone are commands
/// that are spelt out: the rest is text, so that every line of text has its line of output.
fn parse(line: &str, typed: bool) -> Input<'_> {
    let Some(command) = line.trim_start().strip_prefix(':') else {
        return Input::Text(line);
    };
    if command.starts_with(':') {
        return Input::Text(command);
    }
    let (name, rest) = command
        .split_once(char::is_whitespace)
        .unwrap_or((command, ""));
    match (name, rest.trim()) {
        ("to", language) if !language.is_empty() => Input::Switch(LanguageSide::Target, language),
        ("from", language) if !language.is_empty() => Input::Switch(LanguageSide::Source, language),
        ("swap", "") => Input::Swap,
        ("languages", "") => Input::Languages,
        ("help", "") => Input::Help,
        ("quit", "") => Input::Quit,
        _ if !typed => Input::Text(line),
        ("s", "") => Input::Swap,
        ("l", "") => Input::Languages,
        ("h" | "?", "") => Input::Help,
        ("q" | "exit", "") => Input::Quit,
        _ => Input::Unknown(line.trim()),
    }
}

/// Whether lines are to be translated as they come: asked for, or somebody is typing.
pub(super) fn wanted(args: &Args) -> bool {
    let typing = || std::io::stdin().is_terminal();
    args.interactive || (args.input == Path::new("-") && args.output.is_none() && typing())
}

/// Reads stdin to its end, a line at a time. Whatever is wrong with a line is said, and costs that line alone.
pub(super) fn run(
    args: &Args,
    served: &Served,
    loaded: &Loaded,
    translator: &TextTranslator<'_, Cpu>,
    options: &DecodeOptions,
) -> Outcome {
    let mut session = Session {
        args,
        served,
        loaded,
        translator,
        options,
        direction: Direction::new(args.from.clone(), args.to.clone()),
        typed: std::io::stdin().is_terminal(),
        line: 0,
    };
    session.check(&session.direction).map_err(failure)?;
    output::say(":help lists commands; Ctrl-D or :quit ends");
    let mut stdin = std::io::stdin().lock();
    let (mut bytes, mut first) = (Vec::new(), true);
    loop {
        prompt(&session.direction);
        bytes.clear();
        let read = read_line(&mut stdin, &mut bytes).map_err(|error| {
            Failure::internal(anyhow::Error::from(error).context("cannot read stdin"))
        })?;
        let line = match read {
            Read::End => {
                output::say("");
                return Ok(());
            }
            Read::TooLong => Err(format!("longer than {MAX_LINE_BYTES} bytes")),
            Read::Line => std::str::from_utf8(&bytes).map_err(|_| "not UTF-8".to_owned()),
        };
        match line {
            Ok(mut line) => {
                if std::mem::take(&mut first) {
                    line = line.trim_start_matches('\u{feff}');
                }
                if !session.answer(line.trim_end_matches(['\n', '\r']))? {
                    return Ok(());
                }
            }
            Err(what) => {
                output::say(format_args!("this line is {what} and was left out"));
                session.print(Vec::new())?;
            }
        }
    }
}

/// What was read.
enum Read {
    Line,
    /// A line of which nothing is kept.
    TooLong,
    End,
}

/// Reads a line with its end, as long as it is no longer than any line may be.
fn read_line(stdin: &mut impl BufRead, bytes: &mut Vec<u8>) -> std::io::Result<Read> {
    let most = MAX_LINE_BYTES as u64 + 1;
    if stdin.take(most).read_until(b'\n', bytes)? == 0 {
        return Ok(Read::End);
    }
    if bytes.len() <= MAX_LINE_BYTES || bytes.ends_with(b"\n") {
        return Ok(Read::Line);
    }
    stdin.skip_until(b'\n')?;
    Ok(Read::TooLong)
}

fn prompt(direction: &Direction) {
    let mut stderr = std::io::stderr();
    let _ = write!(stderr, "{direction}> ").and_then(|()| stderr.flush());
}

struct Session<'a> {
    args: &'a Args,
    served: &'a Served,
    loaded: &'a Loaded,
    translator: &'a TextTranslator<'a, Cpu>,
    options: &'a DecodeOptions,
    direction: Direction,
    /// Whether somebody types.
    typed: bool,
    /// Lines of text so far.
    line: usize,
}

impl Session<'_> {
    /// Does what a line says; false to end.
    fn answer(&mut self, line: &str) -> Outcome<bool> {
        match parse(line, self.typed) {
            Input::Text(text) => self.translate(text)?,
            Input::Switch(side, code) => self.switch(side, code),
            Input::Swap => self.turn(self.direction.reversed()),
            Input::Languages => self.languages(),
            Input::Help => output::say(HELP.trim_end()),
            Input::Quit => return Ok(false),
            Input::Unknown(command) => {
                output::say(format_args!(
                    "`{command}` is no command; :help lists them, and `::` starts a text with `:`"
                ));
            }
        }
        Ok(true)
    }

    /// A line of text in is a line out, also where translation fails, so that a program at the other end stays in step.
    fn translate(&mut self, text: &str) -> Outcome {
        let lines = [(text, &self.direction)];
        let found = self.prepare(&lines).and_then(|lines| {
            let translator = self.translator;
            translator.translate_lines(&lines, self.options, &mut |_| {})
        });
        let found = found.unwrap_or_else(|error| {
            tell(&error);
            Vec::new()
        });
        self.print(found.into_iter().next().unwrap_or_default())
    }

    fn print(&mut self, translations: Vec<Translation>) -> Outcome {
        self.line += 1;
        output::print(&render(self.args, self.line, &[translations])?)
    }

    fn switch(&mut self, side: LanguageSide, code: &str) {
        let language: Language = match code.parse() {
            Ok(language) => language,
            Err(error) => return output::say(error),
        };
        let (source, target) = (&self.direction.source, &self.direction.target);
        self.turn(match side {
            LanguageSide::Source => Direction::new(language, target.clone()),
            LanguageSide::Target => Direction::new(source.clone(), language),
        });
    }

    /// Takes another direction, unless the model doesn't know its languages. One that the adapters weren't trained in is
    /// taken, with a word about it: it may be half of a change of both languages.
    fn turn(&mut self, direction: Direction) {
        let error = self.check(&direction).err();
        if let Some(error) = &error {
            tell(error);
        }
        let stays = error.is_some_and(|error| {
            !matches!(
                error,
                DecodeError::NoUpdate { .. } | DecodeError::NotTrained { .. }
            )
        });
        if !stays {
            self.direction = direction;
        }
    }

    fn check(&self, direction: &Direction) -> Result<(), DecodeError> {
        self.prepare(&[("", direction)]).map(drop)
    }

    fn prepare(&self, lines: &[(&str, &Direction)]) -> Result<Vec<Line>, DecodeError> {
        let options = self.args.text_options();
        self.served.prepare(self.translator, lines, options)
    }

    fn languages(&self) {
        for language in self.loaded.tokenizer.languages() {
            output::say(format_args!(
                "  {language:<10} {}",
                language.name().unwrap_or("")
            ));
        }
    }
}

fn tell(error: &DecodeError) {
    output::say(format_args!("error: {error}"));
    if let Some(hint) = decoding::hint(error) {
        output::say(format_args!("hint: {hint}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_text_or_commands() {
        for (line, input) in [
            ("Hello: there", Input::Text("Hello: there")),
            ("", Input::Text("")),
            ("::quit", Input::Text(":quit")),
            (
                ":to deu_Latn",
                Input::Switch(LanguageSide::Target, "deu_Latn"),
            ),
            (" :from  de ", Input::Switch(LanguageSide::Source, "de")),
            (":swap", Input::Swap),
            (":languages", Input::Languages),
            (":help ", Input::Help),
            (":q", Input::Quit),
            (":to", Input::Unknown(":to")),
            (":swap now", Input::Unknown(":swap now")),
            (":", Input::Unknown(":")),
        ] {
            assert_eq!(parse(line, true), input, "{line:?}");
            let kept = !matches!(input, Input::Unknown(_)) && line != ":q";
            let of_program = if kept { input } else { Input::Text(line) };
            assert_eq!(parse(line, false), of_program, "{line:?}");
        }
        assert_eq!(parse(":-) fine", false), Input::Text(":-) fine"));
    }

    #[test]
    fn a_line_too_long_is_left_out_and_the_next_one_read() {
        let long = "x".repeat(MAX_LINE_BYTES + 1);
        let text = format!("a\n{long}\n{}\nb", &long[1..]);
        let (mut input, mut bytes, mut read) = (text.as_bytes(), Vec::new(), Vec::new());
        loop {
            bytes.clear();
            match read_line(&mut input, &mut bytes).unwrap() {
                Read::Line => read.push(bytes.len()),
                Read::TooLong => read.push(0),
                Read::End => break,
            }
        }
        assert_eq!(read, [2, 0, MAX_LINE_BYTES + 1, 1]);
    }
}
