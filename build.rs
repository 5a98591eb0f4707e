//! Writes the list of the bundled pack's files, which the binary embeds for `rulepack init --with`.

use std::io::Write;
use std::path::Path;
use std::{env, fs, io};

const FOLDERS: [&str; 3] = ["rules-toml", "tests/rules", "tests/fixtures"];

fn main() -> io::Result<()> {
    let root = env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?;
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    let mut list = fs::File::create(Path::new(&out).join("bundled.rs"))?;
    writeln!(list, "&[")?;
    for folder in FOLDERS {
        println!("cargo::rerun-if-changed={folder}");
        write(&mut list, Path::new(&root), folder)?;
    }
    writeln!(list, "]")
}

/// Writes the files below `folder`, sorted by name.
fn write(list: &mut fs::File, root: &Path, folder: &str) -> io::Result<()> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root.join(folder))? {
        names.push(entry?.file_name().into_string().map_err(|n| io::Error::other(format!("{n:?}")))?);
    }
    names.sort();
    for name in names.iter().filter(|n| !n.starts_with('.')) {
        let path = format!("{folder}/{name}");
        if root.join(&path).is_dir() {
            write(list, root, &path)?;
        } else {
            writeln!(list, "    ({path:?}, include_bytes!({:?})),", root.join(&path))?;
        }
    }
    Ok(())
}
