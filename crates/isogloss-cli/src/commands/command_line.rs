//! The command line, as `cost.json` keeps it.

use isogloss::report::shell_word;

/// The command line, without the folder of the program.
pub(crate) fn command(words: impl Iterator<Item = String>) -> String {
    let rest = words.skip(1).map(|word| shell_word(&word));
    std::iter::once("isogloss".to_owned())
        .chain(rest)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_given_to_a_shell_again() {
        let words = [
            "/opt/bin/isogloss",
            "train",
            "my runs/a.toml",
            "--threads",
            "2",
        ];
        assert_eq!(
            command(words.into_iter().map(str::to_owned)),
            "isogloss train 'my runs/a.toml' --threads 2"
        );
    }
}
