//! `rulepack explain`: a code's page.

use super::Exit;
use super::terminal::Terminal;
use crate::diag::{CODES, Code, did_you_mean};
use clap::Args;

/// Explain a diagnostic code
///
/// Prints the code's page: what it means, a bad and a good example. Without CODE it lists all codes.
#[derive(Args)]
#[command(after_help = "Examples:\n  rulepack explain RP0501\n  rulepack explain")]
pub struct ExplainArgs {
    /// The code
    what: Option<String>,
}

/// Runs the command.
pub fn run(args: ExplainArgs, terminal: &mut Terminal) -> Exit {
    let Some(what) = args.what else {
        for info in CODES {
            terminal.line(&format!("{}  {:7}  {}", info.code, info.severity.word(), info.title));
        }
        return Exit::Fine;
    };
    if let Some(code) = Code::parse(&what) {
        terminal.raw(code.info().page);
        return Exit::Fine;
    }
    let known: Vec<String> = CODES.iter().map(|i| i.code.to_string()).collect();
    terminal.note(&format!("error: there is no code `{what}`"));
    match did_you_mean(&what, known.iter().map(String::as_str)) {
        Some(near) => {
            terminal.note(&format!("help: did you mean `{near}`? `rulepack explain` lists all codes"))
        }
        None => terminal.note("help: `rulepack explain` lists all codes"),
    }
    Exit::Usage
}
