//! Revisions of a pack, read by running `git`; nothing is checked out.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Why a revision cannot be had, and what to do.
pub struct GitError {
    /// What is wrong.
    pub message: String,
    /// What to do next.
    pub help: Option<String>,
}

fn error(message: impl Into<String>, help: Option<&str>) -> GitError {
    GitError { message: message.into(), help: help.map(str::to_owned) }
}

/// The repository around a folder.
pub struct Repository {
    root: PathBuf,
    /// The folder, relative to the root of the repository; empty for the root itself.
    prefix: String,
}

/// A commit.
pub struct Revision {
    /// What people call it: `main 3f9c1d2`.
    pub label: String,
    id: String,
}

impl Repository {
    /// The repository that a folder is in.
    pub fn around(folder: &Path) -> Result<Repository, GitError> {
        let inside = run(folder, &["rev-parse", "--show-toplevel", "--show-prefix"]).map_err(|why| {
            error(
                if why.is_empty() {
                    "git could not be run".to_owned()
                } else {
                    "this is no git repository".to_owned()
                },
                Some("revisions are those of a repository: `git init` makes one"),
            )
        })?;
        let mut lines = inside.lines();
        let root = PathBuf::from(lines.next().unwrap_or("."));
        let prefix = lines.next().unwrap_or("").trim_end_matches('/').to_owned();
        Ok(Repository { root, prefix })
    }

    fn is_shallow(&self) -> bool {
        run(&self.root, &["rev-parse", "--is-shallow-repository"]).is_ok_and(|t| t.trim() == "true")
    }

    /// The commit of a name.
    pub fn revision(&self, name: &str) -> Result<Revision, GitError> {
        if name.starts_with('-') {
            return Err(error(format!("`{name}` is no revision"), None));
        }
        let id = run(&self.root, &["rev-parse", "--verify", "--quiet", &format!("{name}^{{commit}}")]);
        match id {
            Ok(id) => {
                let id = id.trim().to_owned();
                let short = id.get(..7).unwrap_or(&id).to_owned();
                let label = if id.starts_with(name) { short } else { format!("{name} {short}") };
                Ok(Revision { label, id })
            }
            Err(_) if self.is_shallow() => Err(error(
                format!("`{name}` is not in this clone, which is shallow"),
                Some(
                    "fetch the whole history: `git fetch --unshallow`, or `fetch-depth: 0` in actions/checkout",
                ),
            )),
            Err(_) => {
                Err(error(format!("there is no revision `{name}`"), Some("`git branch -a` lists branches")))
            }
        }
    }

    /// The merge base of the working tree with the default branch.
    pub fn merge_base(&self) -> Result<Revision, GitError> {
        let head = run(&self.root, &["symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD"]);
        let mut candidates: Vec<String> = head.map(|h| h.trim().to_owned()).into_iter().collect();
        candidates.extend(["origin/main", "origin/master", "main", "master"].map(str::to_owned));
        let known = candidates.into_iter().find(|c| {
            run(&self.root, &["rev-parse", "--verify", "--quiet", &format!("{c}^{{commit}}")]).is_ok()
        });
        let Some(branch) = known else {
            return Err(error("the default branch is not known", Some("name a revision")));
        };
        match run(&self.root, &["merge-base", &branch, "HEAD"]) {
            Ok(id) => {
                let id = id.trim().to_owned();
                let short = id.get(..7).unwrap_or(&id).to_owned();
                let name = branch.strip_prefix("origin/").unwrap_or(&branch);
                Ok(Revision { label: format!("{name} {short}"), id })
            }
            Err(_) if self.is_shallow() => Err(error(
                format!("this clone is shallow: the commit where the branch left `{branch}` is not in it"),
                Some("fetch more history: `git fetch --deepen=200`, or `fetch-depth: 0` in actions/checkout"),
            )),
            Err(_) => Err(error(format!("the working tree and `{branch}` have no common commit"), None)),
        }
    }

    /// The files below a folder that differ from a revision, relative to the folder; files that git does not
    /// know yet among them.
    pub fn changed(&self, since: &Revision, folder: &Path) -> Result<BTreeSet<String>, GitError> {
        let asked: [&[&str]; 2] = [
            &["diff", "--relative", "--name-only", "--no-renames", "-z", since.id.as_str(), "--"],
            &["ls-files", "--others", "--exclude-standard", "-z"],
        ];
        let mut out = BTreeSet::new();
        for args in asked {
            let listing = run(folder, args).map_err(|why| error(format!("git: {why}"), None))?;
            out.extend(listing.split('\0').filter(|p| !p.is_empty()).map(str::to_owned));
        }
        Ok(out)
    }

    /// The content of a file at a revision, its path relative to the pack; `None` where it was not there.
    pub fn content(&self, at: &Revision, path: &str) -> Option<Vec<u8>> {
        let full = if self.prefix.is_empty() { path.to_owned() } else { format!("{}/{path}", self.prefix) };
        run(&self.root, &["show", &format!("{}:{full}", at.id)]).ok().map(String::into_bytes)
    }

    /// Earlier texts of a file (its path relative to the pack), the newest first, each once; across renames.
    /// Empty where git knows none.
    pub fn history(&self, path: &str, most: usize) -> Vec<String> {
        let full = if self.prefix.is_empty() { path.to_owned() } else { format!("{}/{path}", self.prefix) };
        let (most, quoting) = (format!("--max-count={most}"), "core.quotePath=false");
        let args = [
            "-c",
            quoting,
            "log",
            "--follow",
            "--format=%H",
            "--name-only",
            most.as_str(),
            "--",
            full.as_str(),
        ];
        let mut out: Vec<String> = Vec::new();
        let mut commit = "";
        let listing = run(&self.root, &args).unwrap_or_default();
        for line in listing.lines().filter(|l| !l.is_empty()) {
            if line.len() >= 40 && line.bytes().all(|b| b.is_ascii_hexdigit()) {
                commit = line;
            } else if let Ok(text) = run(&self.root, &["show", &format!("{commit}:{line}")])
                && !out.contains(&text)
            {
                out.push(text);
            }
        }
        out
    }

    /// Writes the files of a revision below `paths` (relative to the pack) into a folder. Links are left out.
    pub fn extract(&self, revision: &Revision, paths: &[&str], into: &Path) -> Result<usize, GitError> {
        let full: Vec<String> = paths
            .iter()
            .map(|p| if self.prefix.is_empty() { (*p).to_owned() } else { format!("{}/{p}", self.prefix) })
            .collect();
        let mut args = vec!["ls-tree", "-r", "-z", "--full-tree", revision.id.as_str(), "--"];
        args.extend(full.iter().map(String::as_str));
        let listing = run(&self.root, &args).map_err(|why| error(format!("git ls-tree: {why}"), None))?;
        let mut wanted: Vec<(String, String)> = Vec::new();
        for entry in listing.split('\0').filter(|e| !e.is_empty()) {
            let Some((meta, path)) = entry.split_once('\t') else { continue };
            let mut meta = meta.split(' ');
            let (mode, _, id) = (meta.next(), meta.next(), meta.next());
            let relative = if self.prefix.is_empty() {
                Some(path)
            } else {
                path.strip_prefix(&format!("{}/", self.prefix))
            };
            if let (Some(mode), Some(id), Some(relative)) = (mode, id, relative)
                && mode.starts_with("100")
                && !relative.split('/').any(|part| part == "..")
            {
                wanted.push((id.to_owned(), relative.to_owned()));
            }
        }
        let failed = |e: std::io::Error| error(format!("reading revision {}: {e}", revision.label), None);
        let mut child = Command::new("git")
            .args(["cat-file", "--batch"])
            .current_dir(&self.root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let ids: String = wanted.iter().map(|(id, _)| format!("{id}\n")).collect();
        let stdin = child.stdin.take();
        // a thread of its own, because git answers before it has read all questions
        let writer = std::thread::spawn(move || stdin.map_or(Ok(()), |mut s| s.write_all(ids.as_bytes())));
        let mut out = Vec::new();
        if let Some(mut stdout) = child.stdout.take() {
            stdout.read_to_end(&mut out).map_err(failed)?;
        }
        // a broken pipe shows as missing answers below
        let _ = writer.join();
        child.wait().map_err(failed)?;
        let mut rest = out.as_slice();
        for (_, path) in &wanted {
            let bytes =
                next_blob(&mut rest).ok_or_else(|| error(format!("git gave no content for {path}"), None))?;
            super::files::write(&into.join(path), bytes)
                .map_err(|why| error(format!("{path}: {why}"), None))?;
        }
        Ok(wanted.len())
    }
}

/// The next answer of `git cat-file --batch`: `<id> blob <size>\n<content>\n`.
fn next_blob<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = memchr::memchr(b'\n', rest)?;
    let header = std::str::from_utf8(rest.get(..end)?).ok()?;
    let size: usize = header.rsplit(' ').next()?.parse().ok()?;
    let content = rest.get(end + 1..end + 1 + size)?;
    *rest = rest.get(end + 2 + size..)?;
    Some(content)
}

/// What git prints; `Err` holds what it complained, empty when it could not be started.
fn run(folder: &Path, args: &[&str]) -> Result<String, String> {
    let out = Command::new("git")
        .args(args)
        .current_dir(folder)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(|_| String::new())?;
    if out.status.success() {
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    } else {
        Err(format!("{} ", String::from_utf8_lossy(&out.stderr).trim()))
    }
}

/// The commit of a folder, seven digits, with `+` where files have changed since; `None` outside of git.
pub fn commit(folder: &Path) -> Option<String> {
    let head = run(folder, &["rev-parse", "--short=7", "HEAD"]).ok()?;
    let changed = run(folder, &["status", "--porcelain", "--untracked-files=no", "--", "."]).ok()?;
    let mark = if changed.trim().is_empty() { "" } else { "+" };
    Some(format!("{}{mark}", head.trim()))
}
