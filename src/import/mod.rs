//! From the JSON of rules, exceptions and connectors to the files of a pack, as a plan: which files are
//! new, which change and in what. The command line writes them.

mod compose;
mod exceptions;
mod export;
pub mod lists;

pub use compose::{Action, Imported, Importer, Refused};
pub use exceptions::{SideFile, connectors, exceptions};
pub use export::{Export, MAX_BYTES};

/// A name for a file: lower-case words with `_` between them, at most 80 characters.
pub fn slug(title: &str) -> String {
    let mut out = String::new();
    for c in title.chars().flat_map(char::to_lowercase) {
        if c.is_ascii_alphanumeric() {
            out.push(c);
        } else if !out.is_empty() && !out.ends_with('_') {
            out.push('_');
        }
        if out.len() >= 80 {
            break;
        }
    }
    let out = out.trim_end_matches('_').to_owned();
    if out.is_empty() { "unnamed".to_owned() } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_plain_words() {
        assert_eq!(slug("AWS: Root — log-in (MFA)"), "aws_root_log_in_mfa");
        assert_eq!(slug("../../etc"), "etc");
        assert_eq!(slug("日本"), "unnamed");
        assert!(slug(&"x".repeat(500)).len() <= 80);
    }
}
