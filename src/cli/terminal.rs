//! The only door to the terminal: answers to stdout, everything else to stderr.

use crate::diag::Diagnostic;
use crate::render::{self, Format, Style};
use anstream::{AutoStream, ColorChoice};
use std::io::{self, IsTerminal, Write};

/// Where output goes, and how it is dressed.
pub struct Terminal {
    out: io::BufWriter<AutoStream<io::Stdout>>,
    err: AutoStream<io::Stderr>,
    out_color: bool,
    err_color: bool,
    err_is_terminal: bool,
    /// Only findings and verdicts.
    pub quiet: bool,
    /// More than usual.
    pub verbose: bool,
    closed: bool,
}

impl Terminal {
    /// A terminal with a choice of colour.
    pub fn new(color: ColorChoice, quiet: bool, verbose: bool) -> Terminal {
        let (stdout, stderr) = (io::stdout(), io::stderr());
        let err_is_terminal = stderr.is_terminal();
        let on = |choice: ColorChoice| !matches!(choice, ColorChoice::Never);
        let out_choice = if color == ColorChoice::Auto { AutoStream::choice(&stdout) } else { color };
        let err_choice = if color == ColorChoice::Auto { AutoStream::choice(&stderr) } else { color };
        Terminal {
            out: io::BufWriter::new(AutoStream::new(stdout, out_choice)),
            err: AutoStream::new(stderr, err_choice),
            out_color: on(out_choice),
            err_color: on(err_choice),
            err_is_terminal,
            quiet,
            verbose,
            closed: false,
        }
    }

    /// Whether progress may be shown.
    pub fn shows_progress(&self) -> bool {
        self.err_is_terminal && !self.quiet
    }

    /// Whether the reader of stdout has gone away; there is nothing more to do then.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// A line of the answer.
    pub fn line(&mut self, text: &str) {
        self.raw(text);
        self.raw("\n");
    }

    /// Text of the answer, as it is.
    pub fn raw(&mut self, text: &str) {
        if !self.closed && self.out.write_all(text.as_bytes()).is_err() {
            self.closed = true;
        }
    }

    /// A remark that `-q` leaves out.
    pub fn remark(&mut self, text: &str) {
        if !self.quiet {
            self.note(text);
        }
    }

    /// A line on stderr.
    pub fn note(&mut self, text: &str) {
        self.flush();
        // nobody is left to tell when stderr is gone
        let _ = writeln!(self.err, "{text}");
    }

    /// A finding on stderr.
    pub fn complain(&mut self, d: &Diagnostic) {
        let text = render::diagnostic(d, Style { color: self.err_color });
        self.note(&text);
        self.note("");
    }

    /// Findings as part of the answer. Text and concise findings are separated as people like them.
    pub fn findings(&mut self, found: &[Diagnostic], format: Format) {
        match format {
            Format::Text => {
                for d in found {
                    let text = render::diagnostic(d, Style { color: self.out_color });
                    self.line(&text);
                    self.line("");
                }
            }
            Format::Concise => found.iter().for_each(|d| self.line(&render::concise(d))),
            Format::Github => found.iter().for_each(|d| self.line(&render::annotation(d))),
            Format::Ndjson => found.iter().for_each(|d| self.line(&render::diagnostic_json(d).to_string())),
            Format::Json => {}
        }
    }

    /// Asks a person; `None` where there is nobody to ask.
    pub fn confirm(&mut self, question: &str) -> Option<bool> {
        self.flush();
        if !self.err_is_terminal || !io::stdin().is_terminal() {
            return None;
        }
        let _ = write!(self.err, "{question} [y/N] ");
        let _ = self.err.flush();
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).ok()?;
        Some(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
    }

    /// Writes out what is held back.
    pub fn flush(&mut self) {
        if self.out.flush().is_err() {
            self.closed = true;
        }
    }
}

/// `1 error`, `2 errors`.
pub fn count(n: usize, noun: &str) -> String {
    let plural = match noun {
        _ if n == 1 => noun.to_owned(),
        n if n.ends_with('y') && !n.ends_with("ay") => format!("{}ies", n.trim_end_matches('y')),
        n => format!("{n}s"),
    };
    format!("{} {plural}", thousands(n as u64))
}

/// `1,204,551`.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// `38 ms`, `6.1 s`.
pub fn duration(d: std::time::Duration) -> String {
    if d.as_millis() < 1_000 { format!("{} ms", d.as_millis()) } else { format!("{:.1} s", d.as_secs_f64()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_nouns_agree() {
        assert_eq!(count(1, "error"), "1 error");
        assert_eq!(count(0, "query"), "0 queries");
        assert_eq!(count(1204551, "record"), "1,204,551 records");
        assert_eq!(duration(std::time::Duration::from_millis(6100)), "6.1 s");
    }
}
