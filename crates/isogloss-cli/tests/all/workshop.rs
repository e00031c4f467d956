//! A folder with a tiny base, pre-trained once by the program itself, and commands that run in it.

use assert_cmd::Command;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tempfile::TempDir;

/// Rows of the factory's handbook as `[[SECTION]]`.
pub fn handbook(section: &str, split: &str, rows: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/factory/{lang}.tsv");
    format!(
        "[[{section}]]\nformat = \"tsv-rows\"\npath = {path:?}\nrows = \"{rows}\"\nwhere = {{ split = \"{split}\" }}\n"
    )
}

/// English and German.
pub const LANGUAGES: &str = "[languages]\nhigh = [\"eng_Latn\"]\nlow = [\"deu_Latn\"]\n";

pub const PRETRAIN_SHAPE: &str = "[vocabulary]\nsize = 300\n\
    [shape]\nd_model = 16\nencoder_layers = 1\ndecoder_layers = 1\nattention_heads = 2\nffn_dim = 32\n\
    max_position_embeddings = 150\n";

pub fn pretrain_config() -> String {
    format!(
        "run = \"pretraining\"\n{LANGUAGES}{}[validation]\nsentences = 4\n{}{PRETRAIN_SHAPE}\
         [training]\nepochs = 1\nbatch_tokens = 800\nmax_tokens = 128\nlearning_rate = 0.01\ndropout = 0.0\n",
        handbook("data", "train", "1-40"),
        handbook("validation.data", "valid", "1-40"),
    )
}

/// The base, an ordinary folder. Nobody writes to it.
pub fn base() -> &'static Path {
    static BASE: OnceLock<PathBuf> = OnceLock::new();
    BASE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("workshop");
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("pretrain.toml"), pretrain_config()).unwrap();
        let mut command = isogloss(&folder);
        let command = command.args(["pretrain", "pretrain.toml", "--threads", "1"]);
        let out = stdout(command);
        assert!(out.contains("finished after"), "{out}");
        folder.join("pretraining/model")
    })
}

/// The program, in a folder.
pub fn isogloss(folder: &Path) -> Command {
    let mut command = Command::cargo_bin("isogloss").unwrap();
    command.current_dir(folder);
    command
}

/// What a command that succeeds prints.
pub fn stdout(command: &mut Command) -> String {
    String::from_utf8(command.assert().success().get_output().stdout.clone()).unwrap()
}

/// What a command says that refuses its input: code 2, nothing on stdout.
pub fn refusal(command: &mut Command) -> String {
    let output = command.assert().failure().code(2).get_output().clone();
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr).unwrap()
}

/// A training configuration in a fresh folder, in parts that a test changes.
pub struct Workshop {
    pub folder: TempDir,
    /// Keys before the sections.
    pub top: String,
    pub languages: String,
    pub data: String,
    pub validation: String,
    /// Sections behind.
    pub more: String,
}

impl Workshop {
    pub fn new() -> Self {
        Workshop {
            folder: TempDir::new().unwrap(),
            top: format!("run = \"run\"\nmodel = {:?}\n", base()),
            languages: LANGUAGES.to_owned(),
            data: handbook("data", "train", "1-30"),
            validation: handbook("validation.data", "valid", "1-40"),
            more: "[training]\nepochs = 2\nbatch_tokens = 800\nmax_tokens = 128\nlearning_rate = 0.01\n"
                .to_owned(),
        }
    }

    /// A pair of files in place of the handbook, for English and German.
    pub fn with_files(mut self, english: &[u8], german: &[u8]) -> Self {
        self.write("eng_Latn.txt", english);
        self.write("deu_Latn.txt", german);
        self.data = "[[data]]\nformat = \"aligned\"\npath = \"{lang}.txt\"\n".to_owned();
        self
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path().join(name), bytes).unwrap();
    }

    fn config(&self) -> String {
        let Workshop {
            top,
            languages,
            data,
            validation,
            more,
            ..
        } = self;
        format!("{top}{languages}{data}[validation]\nsentences = 4\n{validation}{more}")
    }

    /// `isogloss train` with the configuration as it is now.
    pub fn train(&self) -> Command {
        self.write("train.toml", self.config());
        let mut command = isogloss(self.path());
        command.args(["train", "train.toml", "--threads", "1"]);
        command
    }

    /// Asserts that training is refused with a message that holds all of `parts`.
    #[track_caller]
    pub fn refuses(&self, parts: &[&str]) {
        let text = refusal(&mut self.train());
        for part in parts {
            assert!(text.contains(part), "{part:?} is not in: {text}");
        }
    }
}
