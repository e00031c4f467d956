//! What commands that write a page have in common.

use isogloss::report::Tongue;

/// In what language.
#[derive(Debug, clap::Args)]
pub(crate) struct PageArgs {
    /// Language of the page: en or ja
    #[arg(long, value_name = "LANGUAGE", default_value = "en", env = "ISOGLOSS_LANG", value_parser = tongue)]
    pub(crate) lang: Tongue,
}

fn tongue(text: &str) -> Result<Tongue, String> {
    text.parse()
}
