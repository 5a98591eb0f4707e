//! What a command found as a page of Markdown, for a comment or the summary of a job.

use super::Run;
use super::run::page;
use crate::diag::Severity;
use crate::trial::{CaseResult, Outcome};

/// The most findings and the most cases of a page: a summary of GitHub ends at 1 MiB.
const LISTED: usize = 200;

/// The page. Without `show_values` it names fields and ids but holds no value of an event.
pub fn markdown(run: &Run<'_>) -> String {
    let mut out = format!("## rulepack {}\n\n**{}**\n", run.command, escape(&run.verdict));
    if !run.steps.is_empty() {
        out.push_str("\n| step | what | result |\n|---|---|---|\n");
        for step in &run.steps {
            out.push_str(&format!(
                "| {} | {} | {} |\n",
                escape(&step.name),
                escape(&step.what),
                escape(&step.result)
            ));
        }
    }
    if !run.alerts.is_empty() {
        out.push_str("\n| severity | rule | alerts | last |\n|---|---|---:|---|\n");
        for row in run.alerts.iter().take(LISTED) {
            let (severity, rule) = (escape(&row.severity), code(&row.rule));
            out.push_str(&format!("| {severity} | {rule} | {} | {} |\n", row.alerts, escape(&row.last)));
        }
        more(&mut out, run.alerts.len());
    }
    findings(run, &mut out);
    let failed: Vec<&CaseResult> = run.failed_cases().collect();
    if !failed.is_empty() {
        out.push_str("\n### Failed tests\n");
        for c in failed.iter().take(LISTED) {
            let text = c.outcome.sentence(run.show_values).unwrap_or_default();
            out.push_str(&format!(
                "\n- {} · {}, {}: {}\n",
                code(&c.rule),
                escape(&c.case),
                code(&format!("{}:{}", c.file, c.line)),
                escape(&text)
            ));
            let lines = explained(c, run.show_values);
            if lines.len() > 1 {
                out.push_str(&indent(&fenced(lines.get(1..).unwrap_or_default())));
            }
        }
        more(&mut out, failed.len());
    }
    if !run.remarks.is_empty() {
        out.push('\n');
        for remark in &run.remarks {
            out.push_str(&format!("- {}\n", escape(remark)));
        }
    }
    out
}

fn findings(run: &Run<'_>, out: &mut String) {
    if run.findings.is_empty() {
        return;
    }
    out.push_str("\n### Findings\n\n| | code | place | finding |\n|---|---|---|---|\n");
    let mut sorted: Vec<_> = run.findings.iter().collect();
    // errors come first, for a long list is cut; the sort keeps their order otherwise
    sorted.sort_by_key(|d| std::cmp::Reverse(d.severity));
    for d in sorted.iter().take(LISTED) {
        let mut text = escape(&d.message);
        if let Some(label) = d.labels.first().filter(|l| !l.text.is_empty()) {
            text.push_str(&format!(": {}", escape(&label.text)));
        }
        if let Some(help) = &d.help {
            text.push_str(&format!("<br>help: {}", escape(help)));
        }
        let word = match d.severity {
            Severity::Note => "note",
            severity => severity.word(),
        };
        let place = d.place().map_or_else(String::new, |p| code(&p));
        out.push_str(&format!("| {word} | [{}]({}) | {place} | {text} |\n", d.code, page(d.code)));
    }
    more(out, sorted.len());
}

fn more(out: &mut String, n: usize) {
    if n > LISTED {
        out.push_str(&format!("\nand {} more\n", n - LISTED));
    }
}

/// Why a case failed, a line each; the first is the sentence about it. Without `values`, the clauses of the
/// query and their answers only.
pub(super) fn explained(c: &CaseResult, values: bool) -> Vec<String> {
    let mut out: Vec<String> = c.outcome.sentence(values).into_iter().collect();
    let Outcome::Failed(f) = &c.outcome else { return out };
    for l in &f.decision {
        let word = if l.result { "yes" } else { "no " };
        let found = l.found.as_deref().filter(|_| values).map(|f| format!("    {f}")).unwrap_or_default();
        out.push(format!("{word}  {}{}{found}", "  ".repeat(l.depth), l.clause));
    }
    for (name, value) in &f.terms {
        out.push(if values { format!("{name}   {value}") } else { name.clone() });
    }
    out.extend(f.remark.clone());
    out
}

/// Lines as a block of code that no line of it can end.
fn fenced(lines: &[String]) -> String {
    let longest = lines.iter().flat_map(|l| l.split(|c| c != '`')).map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}\n{}\n{fence}\n", lines.join("\n"))
}

fn indent(text: &str) -> String {
    text.lines().map(|l| format!("  {l}\n")).collect()
}

/// Text as code, also within a table.
fn code(text: &str) -> String {
    let text = text.replace('`', "'").replace('|', "\\|").replace(['\n', '\r'], " ");
    format!("`{text}`")
}

/// Text that means itself: what Markdown or HTML would read otherwise is escaped, code in backticks stays.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // a backtick without a partner is a character like others
    let pairs = text.matches('`').count() / 2 * 2;
    let (mut ticks, mut inside) = (0, false);
    for c in text.chars() {
        match c {
            '`' if ticks < pairs => {
                ticks += 1;
                inside = !inside;
                out.push('`');
            }
            '|' => out.push_str("\\|"),
            '\n' | '\r' => out.push(' '),
            _ if inside => out.push(c),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '*' | '_' | '[' | ']' | '\\' | '`' | '#' | '~' => {
                out.push('\\');
                out.push(c);
            }
            // a name after it would be told
            '@' => out.push_str("&#64;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::run::tests::{cases, run};

    #[test]
    fn text_means_itself_and_stays_in_its_cell() {
        assert_eq!(escape("a|b `c<d|e` <f> @g"), "a\\|b `c<d\\|e` &lt;f&gt; &#64;g");
        assert_eq!(escape("odd ` tick\nline"), "odd \\` tick line");
        assert_eq!(fenced(&["a ``` b".to_owned()]), "````\na ``` b\n````\n");
    }

    #[test]
    fn every_row_of_a_table_has_its_cells() {
        let cases = cases();
        let text = markdown(&run(&cases));
        let rows: Vec<&str> = text.lines().filter(|l| l.starts_with('|')).collect();
        for row in &rows {
            let bars = row.replace("\\|", "").matches('|').count();
            assert!(bars == 4 || bars == 5, "{row}");
        }
        assert_eq!(rows.len(), 3 + 6);
        assert!(text.contains("### Failed tests") && text.contains("no   user.name: \"a\""), "{text}");
    }

    #[test]
    fn a_long_list_is_cut_with_errors_first() {
        let mut long = run(&[]);
        long.findings = (0..300).map(|_| super::super::run::tests::findings().remove(3)).collect();
        long.findings.push(super::super::run::tests::findings().remove(0));
        let text = markdown(&long);
        assert!(text.contains("| error |") && text.contains("and 101 more"), "{text}");
    }
}
