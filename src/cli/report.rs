//! Reports: what a command found, written in the formats of other tools beside its answer, and the
//! summary of a GitHub job.

use super::Exit;
use super::pack::Opened;
use super::terminal::Terminal;
use crate::render::{self, CheckedRule, Run};
use clap::{Args, ValueEnum};
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Where GitHub wants the summary of a job.
const SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// Reports beside the answer.
#[derive(Args, Clone, Default)]
pub struct Reports {
    /// Also write a report, of sarif, junit, gitlab, github, markdown or json; repeatable
    #[arg(long, value_name = "FORMAT=FILE", value_parser = parse)]
    report: Vec<Report>,
    /// Let markdown, github and other reports show values of events
    #[arg(long)]
    pub show_values: bool,
}

#[derive(Clone, Debug)]
struct Report {
    format: ReportFormat,
    file: PathBuf,
}

/// Formats of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// One JSON document
    Json,
    /// A page for a comment
    Markdown,
    /// Annotations of GitHub Actions
    Github,
    /// Code Quality of GitLab
    Gitlab,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// JUnit's XML
    Junit,
}

fn parse(text: &str) -> Result<Report, String> {
    let names = || {
        let all = ReportFormat::value_variants().iter().filter_map(ReportFormat::to_possible_value);
        all.map(|v| v.get_name().to_owned()).collect::<Vec<_>>()
    };
    let (format, file) = text
        .split_once('=')
        .filter(|(_, f)| !f.is_empty())
        .ok_or("write it as FORMAT=FILE, such as sarif=rulepack.sarif")?;
    let format = ReportFormat::from_str(format, false).map_err(|_| {
        let names = names();
        match crate::diag::did_you_mean(format, names.iter().map(String::as_str)) {
            Some(near) => format!("there is no format `{format}`; did you mean `{near}`?"),
            None => format!("there is no format `{format}`; there are {}", names.join(", ")),
        }
    })?;
    Ok(Report { format, file: PathBuf::from(file) })
}

impl Reports {
    /// With paths that stay where they are when a command enters the folder of its pack.
    pub fn here(mut self) -> Reports {
        for report in &mut self.report {
            if let Ok(file) = std::path::absolute(&report.file) {
                report.file = file;
            }
        }
        self
    }

    /// Complains about a format that has no form for what the command finds.
    pub fn only(&self, formats: &[ReportFormat], command: &str, terminal: &mut Terminal) -> Result<(), Exit> {
        match self.report.iter().find(|r| !formats.contains(&r.format)) {
            None => Ok(()),
            Some(r) => {
                let name = |f: &ReportFormat| {
                    f.to_possible_value().map_or_else(String::new, |v| v.get_name().to_owned())
                };
                let known: Vec<String> = formats.iter().map(name).collect();
                terminal.note(&format!("error: `{command}` has no report of the format {}", name(&r.format)));
                terminal.note(&format!("help: it has {}", known.join(", ")));
                Err(Exit::Usage)
            }
        }
    }

    /// Writes the reports, and the summary of the job where GitHub asks for one. `json` is the answer of
    /// `--format json`. Gives the exit, which is another one only when a report could not be written.
    pub fn write(
        &self,
        run: &Run<'_>,
        json: &dyn Fn() -> Value,
        exit: Exit,
        terminal: &mut Terminal,
    ) -> Exit {
        let mut exit = exit;
        for report in &self.report {
            let written = document(report.format, run, json)
                .and_then(|text| super::files::write(&report.file, text.as_bytes()));
            if let Err(why) = written {
                terminal.note(&format!("error: {}: {why}", report.file.display()));
                exit = if exit == Exit::Fine { Exit::Usage } else { exit };
            }
        }
        if let Some(path) = std::env::var_os(SUMMARY).filter(|p| !p.is_empty())
            && let Err(why) = append(Path::new(&path), &render::markdown(run))
        {
            // the summary is GitHub's, so that it fails says nothing about the pack
            terminal.remark(&format!("note: no summary of the job: {why}"));
        }
        exit
    }
}

fn append(path: &Path, text: &str) -> Result<(), String> {
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .map_err(|e| crate::replay::input::reason(&e))?;
    file.write_all(format!("{text}\n").as_bytes()).map_err(|e| crate::replay::input::reason(&e))
}

/// A report as text, with its line end.
///
/// # Errors
/// In words, when it cannot be made.
pub fn document(format: ReportFormat, run: &Run<'_>, json: &dyn Fn() -> Value) -> Result<String, String> {
    let mut text = match format {
        ReportFormat::Json => json().to_string(),
        ReportFormat::Markdown => render::markdown(run),
        ReportFormat::Github => render::annotations(run).join("\n"),
        ReportFormat::Gitlab => render::gitlab(run).to_string(),
        ReportFormat::Sarif => render::sarif(run).to_string(),
        ReportFormat::Junit => render::junit(run)?,
    };
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

/// Prints a report as the answer; the verdict goes aside.
pub fn print(format: ReportFormat, run: &Run<'_>, json: &dyn Fn() -> Value, terminal: &mut Terminal) {
    match document(format, run, json) {
        Ok(text) => terminal.raw(&text),
        Err(why) => terminal.note(&format!("error: {why}")),
    }
}

/// The selected rules, as reports name them.
pub fn checked_rules(opened: &Opened) -> Vec<CheckedRule> {
    opened.files().iter().map(|f| CheckedRule { name: f.name.clone(), file: f.file.clone() }).collect()
}
