//! Writing files: whole or not at all.

use std::io::Write;
use std::path::Path;

/// Writes a file through a temporary one beside it, so that a crash leaves the old file.
///
/// # Errors
/// In words, when the folder cannot be made or the file cannot be written.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let why = |e: std::io::Error| crate::replay::input::reason(&e);
    if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent).map_err(why)?;
    }
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let temporary = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let written = std::fs::File::create(&temporary)
        .and_then(|mut f| f.write_all(bytes).and_then(|()| f.sync_all()))
        .and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        // the temporary file may not even exist
        let _ = std::fs::remove_file(&temporary);
    }
    written.map_err(why)
}
