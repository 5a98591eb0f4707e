//! The command line: arguments, terminal, exit codes. The only place that prints, and that reads the
//! environment, the clock or the working directory. Each verb has a file of its own.

mod accept;
mod adopt;
mod aws;
mod changes;
mod ci;
mod compile;
mod connection;
mod convert;
mod deploy;
mod deploy_monitors;
mod dev;
mod diff;
mod explain;
mod fields;
mod files;
mod fixture;
mod fmt;
mod generate;
mod git;
mod import;
mod init;
mod input;
mod lock;
mod memory;
mod monitors;
mod new;
mod pack;
mod progress;
mod pull;
mod pulled;
mod query;
mod replay;
mod report;
mod terminal;
mod test;
mod validate;

use crate::diag::{Code, Diagnostic};
use crate::es::date;
use crate::pack::Profile;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::process::ExitCode;
use terminal::Terminal;

/// What a command ends with; the numbers are the same in every command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All is well.
    Fine,
    /// Findings, a rejected query, or input that could not be read whole.
    Findings,
    /// Wrong usage or configuration; a selection that matched nothing.
    Usage,
    /// A remote said no or could not be reached.
    Remote,
    /// A bug in rulepack.
    Bug,
}

impl Exit {
    fn code(self) -> u8 {
        match self {
            Exit::Fine => 0,
            Exit::Findings => 1,
            Exit::Usage => 2,
            Exit::Remote => 3,
            Exit::Bug => 70,
        }
    }
}

const EXIT_CODES: &str = "Exit codes: 0 fine · 1 findings, a rejected query, or input that could not be read whole · \
2 wrong usage or configuration · 3 a remote said no or was not reached · 70 a bug in rulepack";

/// Groups, verbs and their summaries, as `rulepack --help` shows them.
const GROUPS: &[(&str, &[(&str, &str)])] = &[
    (
        "Write",
        &[
            ("new NAME", "start a rule and its test"),
            ("fmt [RULE...]", "bring files into canonical form"),
            ("fields [PATTERN]", "look up fields and types"),
            ("explain CODE|RULE [EVENT]", "a code, a rule, a decision"),
            ("fixture INPUT...", "an event of logs into a test"),
        ],
    ),
    (
        "Check",
        &[
            ("validate [RULE...]", "check rules on every stack"),
            ("test [RULE...]", "run the rules' test cases"),
            ("ci", "validate, test, generate --check at once"),
        ],
    ),
    (
        "Know",
        &[
            ("replay [INPUT...]", "what would have alerted on logs"),
            ("query QUERY [INPUT...]", "run one query over logs"),
            ("diff [REV[..REV]]", "what a change would do"),
        ],
    ),
    (
        "Ship",
        &[
            ("generate [RULE...]", "write Detection Engine JSON"),
            ("lock", "versions of published rules"),
            ("deploy --target TARGET", "bring the pack to Kibana"),
            ("pull --target TARGET", "take over changes in Kibana"),
            ("import FILE...", "rules of Kibana into files"),
        ],
    ),
    ("Set up", &[("init [DIR]", "scaffold a pack")]),
];

const PLUMBING: &[(&str, &str)] = &[
    ("convert [INPUT...]", "raw CloudTrail to ECS documents"),
    ("compile QUERY", "a query to Query DSL"),
    ("completions SHELL", "completions for your shell"),
    ("dev kibana|opensearch", "a fake one to try on"),
];

fn grouped(all: bool) -> String {
    let mut out = String::new();
    let plumbing: &[(&str, &[(&str, &str)])] = &[("Plumbing", PLUMBING)];
    for (group, verbs) in GROUPS.iter().chain(if all { plumbing } else { &[] }) {
        out.push_str(&format!("{group}:\n"));
        for (verb, summary) in *verbs {
            out.push_str(&format!("  {verb:28} {summary}\n"));
        }
        out.push('\n');
    }
    out
}

/// Detection rules for Elastic Security, checked, tested and replayed offline.
#[derive(Parser)]
#[command(name = "rulepack", version, disable_help_subcommand = true, after_help = EXIT_CODES)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Args, Clone)]
struct Global {
    /// Run as if started in DIR
    #[arg(short = 'C', value_name = "DIR", global = true)]
    directory: Option<PathBuf>,
    /// When to use colours
    #[arg(long, value_name = "WHEN", default_value = "auto", global = true)]
    color: Color,
    /// Only findings and the verdict
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Say more
    #[arg(short, long, global = true)]
    verbose: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Subcommand)]
enum Verb {
    New(new::NewArgs),
    #[command(alias = "check")]
    Validate(validate::ValidateArgs),
    Fmt(fmt::FmtArgs),
    Test(test::TestArgs),
    Ci(ci::CiArgs),
    Generate(generate::GenerateArgs),
    Lock(lock::LockArgs),
    Deploy(deploy::DeployArgs),
    /// As `deploy --dry-run`
    #[command(hide = true)]
    Plan(deploy::DeployArgs),
    Pull(pull::PullArgs),
    Import(import::ImportArgs),
    Init(init::InitArgs),
    Query(query::QueryArgs),
    Replay(replay::ReplayArgs),
    Diff(diff::DiffArgs),
    Convert(convert::ConvertArgs),
    Compile(compile::CompileArgs),
    Explain(explain::ExplainArgs),
    Dev(dev::DevArgs),
    Fields(fields::FieldsArgs),
    Fixture(fixture::FixtureArgs),
    /// Completions for your shell, printed
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Help; `--all` also lists the plumbing
    Help {
        /// A command
        command: Option<String>,
        /// Also the plumbing
        #[arg(long)]
        all: bool,
    },
    #[command(external_subcommand)]
    Other(Vec<String>),
}

/// Verbs that are named in the documentation and not built yet.
const LATER: &[&str] = &["lsp"];

fn command() -> clap::Command {
    let template = "{about}\n\n{usage-heading} {usage}\n\n".to_owned()
        + &grouped(false)
        + "{options}\n\n`rulepack COMMAND --help` tells more, `rulepack help --all` also lists the plumbing.\n{after-help}";
    Cli::command().help_template(template)
}

/// Runs the command line and tells how it ended.
pub fn main() -> ExitCode {
    let matches = match command().try_get_matches() {
        Ok(m) => m,
        Err(e) => {
            // clap prints help to stdout and mistakes to stderr
            let _ = e.print();
            return ExitCode::from(if e.use_stderr() { 2 } else { 0 });
        }
    };
    let cli = match <Cli as clap::FromArgMatches>::from_arg_matches(&matches) {
        Ok(c) => c,
        Err(e) => {
            let _ = e.print();
            return ExitCode::from(2);
        }
    };
    let color = match cli.global.color {
        Color::Auto => anstream::ColorChoice::Auto,
        Color::Always => anstream::ColorChoice::Always,
        Color::Never => anstream::ColorChoice::Never,
    };
    let mut terminal = Terminal::new(color, cli.global.quiet, cli.global.verbose);
    if let Some(dir) = &cli.global.directory
        && let Err(e) = std::env::set_current_dir(dir)
    {
        terminal.note(&format!("error: `-C {}`: {}", dir.display(), crate::replay::input::reason(&e)));
        return ExitCode::from(Exit::Usage.code());
    }
    let exit = dispatch(cli.verb, &mut terminal);
    terminal.flush();
    ExitCode::from(exit.code())
}

fn dispatch(verb: Verb, terminal: &mut Terminal) -> Exit {
    match verb {
        Verb::New(args) => new::run(args, terminal),
        Verb::Validate(args) => validate::run(args, terminal),
        Verb::Fmt(args) => fmt::run(args, terminal),
        Verb::Test(args) => test::run(args, terminal),
        Verb::Ci(args) => ci::run(args, terminal),
        Verb::Generate(args) => generate::run(args, terminal),
        Verb::Lock(args) => lock::run(args, terminal),
        Verb::Deploy(args) => deploy::run(args, terminal),
        Verb::Plan(mut args) => {
            args.dry_run = true;
            deploy::run(args, terminal)
        }
        Verb::Pull(args) => pull::run(args, terminal),
        Verb::Import(args) => import::run(args, terminal),
        Verb::Init(args) => init::run(args, terminal),
        Verb::Query(args) => query::run(args, terminal),
        Verb::Replay(args) => replay::run(args, terminal),
        Verb::Diff(args) => diff::run(args, terminal),
        Verb::Convert(args) => convert::run(args, terminal),
        Verb::Compile(args) => compile::run(args, terminal),
        Verb::Explain(args) => explain::run(args, terminal),
        Verb::Dev(args) => dev::run(args, terminal),
        Verb::Fields(args) => fields::run(args, terminal),
        Verb::Fixture(args) => fixture::run(args, terminal),
        Verb::Completions { shell } => {
            let mut out = Vec::new();
            clap_complete::generate(shell, &mut command(), "rulepack", &mut out);
            terminal.raw(&String::from_utf8_lossy(&out));
            Exit::Fine
        }
        Verb::Help { command: name, all } => help(name.as_deref(), all, terminal),
        Verb::Other(words) => other(words.first().map_or("", String::as_str), terminal),
    }
}

fn help(name: Option<&str>, all: bool, terminal: &mut Terminal) -> Exit {
    let mut top = command();
    match name {
        None if all => {
            terminal.raw(&grouped(true));
            Exit::Fine
        }
        None => {
            terminal.raw(&top.render_help().to_string());
            Exit::Fine
        }
        Some(name) => {
            top.build();
            match top.find_subcommand_mut(name) {
                Some(sub) => {
                    terminal.raw(&sub.render_long_help().to_string());
                    Exit::Fine
                }
                None => other(name, terminal),
            }
        }
    }
}

fn other(verb: &str, terminal: &mut Terminal) -> Exit {
    if LATER.contains(&verb) {
        let d = Diagnostic::new(Code::RP9001, format!("`rulepack {verb}` is not supported yet"));
        terminal.complain(&d);
        return Exit::Findings;
    }
    let command = command();
    let known = command.get_subcommands().map(clap::Command::get_name);
    let near = crate::diag::did_you_mean(verb, known.collect::<Vec<_>>());
    terminal.note(&format!("error: there is no command `{verb}`"));
    match near {
        Some(near) => terminal.note(&format!("help: did you mean `rulepack {near}`?")),
        None => terminal.note("help: `rulepack --help` lists the commands"),
    }
    Exit::Usage
}

/// The instant that `--now` gives, or the clock's.
fn now(given: Option<&str>) -> Result<date::Nanos, String> {
    match given {
        None => Ok(jiff::Timestamp::now().as_nanosecond()),
        Some(text) => date::parse_value(text)
            .ok_or_else(|| format!("`--now {text}` is no time; write it as 2026-01-31T12:00:00Z")),
    }
}

/// The shapes of events by their words.
fn profiles() -> impl clap::builder::TypedValueParser<Value = Profile> {
    use clap::builder::TypedValueParser;
    clap::builder::PossibleValuesParser::new(Profile::ALL.map(Profile::name))
        .try_map(|text| Profile::from_name(&text).ok_or("no profile"))
}
