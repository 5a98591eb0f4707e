//! The input of replay, query and convert: which files, and their bytes, unpacked if need be. One of
//! the few places below the command line that read files.

use super::selection::Selection;
use crate::es::date::Nanos;
pub(crate) use crate::pack::files::reason;
use flate2::bufread::MultiGzDecoder;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The names that a folder yields; each also with `.gz`.
const EXTENSIONS: [&str; 4] = ["json", "jsonl", "ndjson", "log"];

/// A file to read.
#[derive(Clone, Debug)]
pub struct InputFile {
    /// Where it is; `-` is standard input.
    pub path: PathBuf,
    /// Its size on disk in bytes.
    pub size: u64,
}

impl InputFile {
    /// The name people see.
    pub fn shown(&self) -> String {
        if self.path.as_os_str() == "-" { "stdin".to_owned() } else { self.path.display().to_string() }
    }
}

/// The files of the given paths.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// What is to be read, in the order of the paths, folders sorted.
    pub files: Vec<InputFile>,
    /// Files in folders whose names say that they are no events.
    pub skipped: usize,
    /// Paths that could not be looked at, and why.
    pub failed: Vec<(PathBuf, String)>,
    /// Files and folders that hold nothing of what was asked for, as their paths say.
    pub pruned: usize,
}

fn is_event_file(path: &Path) -> bool {
    let name = path.file_name().map(|n| n.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    EXTENSIONS.iter().any(|e| name.strip_suffix(e).is_some_and(|stem| stem.ends_with('.')))
}

/// Lists the files of files and folders; folders are walked, links inside them are not followed.
pub fn list(paths: &[PathBuf]) -> Listing {
    list_selected(paths, &Selection::default(), 0)
}

/// Lists the files that may hold something of a selection; those that were named by themselves always may.
/// `earlier` nanoseconds before its beginning are read too.
pub fn list_selected(paths: &[PathBuf], selection: &Selection, earlier: Nanos) -> Listing {
    let mut out = Listing::default();
    for path in paths {
        if path.as_os_str() == "-" {
            out.files.push(InputFile { path: path.clone(), size: 0 });
            continue;
        }
        match fs::metadata(path) {
            Err(e) => out.failed.push((path.clone(), reason(&e))),
            Ok(m) if m.is_dir() => walk(path, selection, earlier, &mut out),
            Ok(m) => out.files.push(InputFile { path: path.clone(), size: m.len() }),
        }
    }
    out
}

fn walk(root: &Path, selection: &Selection, earlier: Nanos, out: &mut Listing) {
    let everything = !selection.looks_at_events();
    let pruned = Arc::new(AtomicUsize::new(0));
    let (counter, chosen) = (Arc::clone(&pruned), selection.clone());
    let walker = ignore::WalkBuilder::new(root)
        .standard_filters(false)
        .follow_links(false)
        .sort_by_file_path(Path::cmp)
        .filter_entry(move |entry| {
            let keep = everything || chosen.may_hold(entry.path(), earlier);
            counter.fetch_add(usize::from(!keep), Ordering::Relaxed);
            keep
        })
        .build();
    for entry in walker {
        match entry {
            Err(e) => out.failed.push((root.to_path_buf(), e.to_string())),
            Ok(entry) if entry.file_type().is_some_and(|t| t.is_dir()) => {}
            Ok(entry) if is_event_file(entry.path()) => {
                let size = entry.metadata().map(|m| m.len()).unwrap_or(0);
                out.files.push(InputFile { path: entry.into_path(), size });
            }
            Ok(_) => out.skipped += 1,
        }
    }
    out.pruned += pruned.load(Ordering::Relaxed);
}

struct Counted<R> {
    inner: R,
    bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.bytes.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// Opens a file; gzip is told by its first bytes, not by its name. `bytes` counts what was read from
/// disk.
///
/// # Errors
/// When the file cannot be opened or its first bytes cannot be read.
pub fn open(file: &InputFile, bytes: &Arc<AtomicU64>) -> io::Result<Box<dyn Read + Send>> {
    let raw: Box<dyn Read + Send> =
        if file.path.as_os_str() == "-" { Box::new(io::stdin()) } else { Box::new(File::open(&file.path)?) };
    let mut reader = BufReader::with_capacity(128 << 10, Counted { inner: raw, bytes: Arc::clone(bytes) });
    if reader.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
        return Ok(Box::new(MultiGzDecoder::new(reader)));
    }
    Ok(Box::new(reader))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_event_files() {
        for name in ["a.json", "a.JSON.gz", "a.ndjson", "x.log.gz", "a.jsonl"] {
            assert!(is_event_file(Path::new(name)), "{name}");
        }
        for name in ["a.txt", "json", "a.gz", "a.json.bak"] {
            assert!(!is_event_file(Path::new(name)), "{name}");
        }
    }
}
