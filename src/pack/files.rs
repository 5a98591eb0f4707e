//! The files of a pack: walking its folders in a fixed order, and keeping every path inside.

use crate::diag::{Code, Diagnostic};
use crate::source::Source;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// The deepest folder that is looked into.
const MAX_DEPTH: usize = 64;

/// A file below a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    /// The path below the folder, with `/`.
    pub(crate) name: String,
    /// Where to read it.
    pub(crate) path: PathBuf,
}

/// A relative path with `/` that stays below where it starts, in its simplest form; `None` for an
/// absolute one, and where `..` would leave.
pub(crate) fn inside(path: &str) -> Option<String> {
    // a path is the same on every system: what was written on Windows is read elsewhere, and the other way round
    let path = path.replace('\\', "/");
    let drive = path.as_bytes().get(1) == Some(&b':');
    if path.starts_with('/') || drive {
        return None;
    }
    let mut parts: Vec<String> = Vec::new();
    for component in Path::new(&path).components() {
        match component {
            Component::Normal(part) => parts.push(part.to_str()?.to_owned()),
            Component::CurDir => {}
            Component::ParentDir => {
                parts.pop()?;
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.join("/"))
}

/// Whether a path leads, links resolved, to something below `root`.
pub(crate) fn stays_below(root: &Path, path: &Path) -> bool {
    match (root.canonicalize(), path.canonicalize()) {
        (Ok(root), Ok(path)) => path.starts_with(root),
        _ => false,
    }
}

/// What an I/O error means, in words without a number.
pub(crate) fn reason(e: &std::io::Error) -> String {
    match e.kind() {
        std::io::ErrorKind::NotFound => "no such file or folder".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        std::io::ErrorKind::IsADirectory => "is a folder".to_owned(),
        std::io::ErrorKind::UnexpectedEof => "the file is cut off".to_owned(),
        _ => {
            let text = e.to_string();
            text.split(" (os error").next().unwrap_or(&text).to_lowercase()
        }
    }
}

/// A finding about a whole file.
pub(crate) fn about(file: &str, code: Code, message: String) -> Diagnostic {
    Diagnostic::new(code, message).in_source(&Arc::new(Source::new(file, "")))
}

/// Every file below `folder` for which `wanted` holds, sorted by name; hidden files and folders are
/// left out. Links that lead out of `root` are findings.
pub(crate) fn walk(
    root: &Path,
    folder: &Path,
    shown: &str,
    wanted: &dyn Fn(&str) -> bool,
) -> (Vec<Entry>, Vec<Diagnostic>) {
    let mut walk = Walk { root, shown, wanted, entries: Vec::new(), found: Vec::new(), above: Vec::new() };
    walk.folder(folder, "");
    walk.entries.sort();
    crate::diag::sort(&mut walk.found);
    (walk.entries, walk.found)
}

struct Walk<'a> {
    root: &'a Path,
    shown: &'a str,
    wanted: &'a dyn Fn(&str) -> bool,
    entries: Vec<Entry>,
    found: Vec<Diagnostic>,
    /// The folders that the walk is in, links resolved.
    above: Vec<PathBuf>,
}

impl Walk<'_> {
    fn report(&mut self, name: &str, code: Code, message: String) {
        let file = if self.shown.is_empty() { name.to_owned() } else { format!("{}/{name}", self.shown) };
        self.found.push(about(file.trim_end_matches('/'), code, message));
    }

    fn folder(&mut self, path: &Path, name: &str) {
        let Ok(real) = path.canonicalize() else {
            return self.report(name, Code::RP0001, "this folder cannot be read".to_owned());
        };
        if self.above.len() > MAX_DEPTH || self.above.contains(&real) {
            return self.report(name, Code::RP0706, "this folder leads back to one above it".to_owned());
        }
        self.above.push(real);
        match std::fs::read_dir(path) {
            Ok(entries) => {
                for entry in entries.flatten() {
                    self.entry(&entry, name);
                }
            }
            Err(e) => self.report(name, Code::RP0001, format!("this folder cannot be read: {}", reason(&e))),
        }
        self.above.pop();
    }

    fn entry(&mut self, entry: &std::fs::DirEntry, above: &str) {
        let file_name = entry.file_name();
        let Some(part) = file_name.to_str() else {
            let shown = file_name.to_string_lossy();
            return self.report(above, Code::RP0001, format!("the name `{shown}` is not UTF-8"));
        };
        if part.starts_with('.') {
            return;
        }
        let name = if above.is_empty() { part.to_owned() } else { format!("{above}/{part}") };
        let path = entry.path();
        let Ok(mut kind) = entry.file_type() else { return };
        if kind.is_symlink() {
            let Ok(target) = std::fs::metadata(&path) else {
                if (self.wanted)(&name) {
                    self.report(&name, Code::RP0001, "this link leads nowhere".to_owned());
                }
                return;
            };
            if target.is_file() && !(self.wanted)(&name) {
                return;
            }
            if !stays_below(self.root, &path) {
                return self.report(&name, Code::RP0706, "this link leads out of the pack".to_owned());
            }
            kind = target.file_type();
        }
        if kind.is_dir() {
            self.folder(&path, &name);
        } else if kind.is_file() && (self.wanted)(&name) {
            self.entries.push(Entry { name, path });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_simplified_and_kept_inside() {
        assert_eq!(inside("./a//b/"), Some("a/b".to_owned()));
        assert_eq!(inside("a/../b"), Some("b".to_owned()));
        assert_eq!(inside("."), Some(String::new()));
        for path in ["..", "/a", "a/../..", "\\a"] {
            assert_eq!(inside(path), None, "{path}");
        }
    }
}
