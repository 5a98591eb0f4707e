//! A folder to spoil, the binary run in it, and what it said.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A folder of its own, removed at the end.
pub struct Sandbox {
    dir: TempDir,
}

/// How a run ended.
#[derive(Debug)]
pub struct Ran {
    /// Exit code; `None` for a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Sandbox {
    /// An empty folder.
    pub fn empty() -> Sandbox {
        Sandbox { dir: tempfile::tempdir().unwrap() }
    }

    /// A folder with a `rulepack.toml` of two stacks and nothing else.
    pub fn bare() -> Sandbox {
        let s = Sandbox::empty();
        s.write("rulepack.toml", "[pack]\nname = \"t\"\nstacks = [\"8.19\", \"9.5\"]\n");
        s
    }

    /// A copy of the project's own pack.
    pub fn pack() -> Sandbox {
        let s = Sandbox::empty();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for part in [
            "rulepack.toml",
            "rules-toml",
            "tests/rules",
            "tests/fixtures",
            "generated",
            "docs/opensearch-support.md",
        ] {
            copy(&root.join(part), &s.path(part));
        }
        s
    }

    /// A path below the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file, its folders included.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// The text of a file.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Runs the binary here. That it neither panics nor dies is asked of every run.
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> Ran {
        let output = Command::new(env!("CARGO_BIN_EXE_rulepack"))
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let ran = Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) };
        assert!(matches!(ran.code, Some(0..=3)), "{args:?} ended with {:?}\n{}", output.status, ran.all());
        ran
    }
}

impl Ran {
    /// Everything that was said.
    pub fn all(&self) -> String {
        format!("{}{}", self.out, self.err)
    }
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    }
}
