//! `rulepack dev`: tools for those who work on deployments. Fakes of Kibana and OpenSearch.

use super::Exit;
use super::terminal::Terminal;
use crate::target::kibana::fake::{FakeKibana, Settings};
use crate::target::opensearch::fake as opensearch;
use clap::{Args, Subcommand};
use std::sync::Arc;
use std::time::Duration;

/// Tools for trying deployments
#[derive(Args)]
pub struct DevArgs {
    #[command(subcommand)]
    tool: Tool,
}

#[derive(Subcommand)]
enum Tool {
    Kibana(KibanaArgs),
    Opensearch(OpensearchArgs),
}

/// Run a fake OpenSearch on this machine
///
/// It keeps monitors of the Alerting plugin while it runs, lets any credential in, and listens on 127.0.0.1
/// only. Its indices have the fields that --fields lists, all of them keywords. Ctrl-C ends it.
#[derive(Args)]
#[command(after_help = "Examples:\n  rulepack dev opensearch --fields eventName,eventSource\n  \
rulepack dev opensearch --port 5700 --version 3.7.0")]
pub struct OpensearchArgs {
    /// The port; 0 for any that is free
    #[arg(long, value_name = "PORT", default_value_t = 5698)]
    port: u16,
    /// The version that it says it has
    #[arg(long, value_name = "VERSION", default_value = "2.19.1")]
    version: String,
    /// The fields of its indices; `*` for whatever is asked
    #[arg(long, value_name = "FIELDS", value_delimiter = ',', default_value = "*")]
    fields: Vec<String>,
}

/// Run a fake Kibana on this machine
///
/// It keeps rules, exception lists and connectors while it runs, lets any credential in, and listens on
/// 127.0.0.1 only. The target `demo` is there. Ctrl-C ends it.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  rulepack dev kibana\n  rulepack dev kibana --port 5700 --version 8.19.2\n  \
curl -d '{\"kind\": \"overloaded\", \"times\": 3}' http://127.0.0.1:5699/_fake/faults"
)]
pub struct KibanaArgs {
    /// The port; 0 for any that is free
    #[arg(long, value_name = "PORT", default_value_t = 5699)]
    port: u16,
    /// The version that it says it has
    #[arg(long, value_name = "VERSION", default_value = "9.5.1")]
    version: String,
    /// Milliseconds that each answer takes at least
    #[arg(long, value_name = "MS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=60_000))]
    latency: u64,
}

/// Runs the command.
pub fn run(args: DevArgs, terminal: &mut Terminal) -> Exit {
    let args = match args.tool {
        Tool::Kibana(args) => args,
        Tool::Opensearch(args) => return opensearch(args, terminal),
    };
    let settings = Settings {
        port: args.port,
        version: args.version,
        latency: Duration::from_millis(args.latency),
        clock: Arc::new(|| jiff::Timestamp::now().as_nanosecond()),
        ..Settings::default()
    };
    match FakeKibana::start(&settings) {
        Err(e) => {
            terminal.note(&format!("error: {e}"));
            Exit::Usage
        }
        Ok(fake) => {
            let version = &settings.version;
            terminal.line(&format!("fake Kibana {version} listens on {}, until Ctrl-C", fake.url()));
            terminal.flush();
            loop {
                std::thread::park();
            }
        }
    }
}

fn opensearch(args: OpensearchArgs, terminal: &mut Terminal) -> Exit {
    let fields = args.fields.into_iter().map(|f| (f, "keyword".to_owned())).collect();
    let settings = opensearch::Settings {
        port: args.port,
        version: args.version,
        fields: Some(fields),
        ..opensearch::Settings::default()
    };
    match opensearch::FakeOpenSearch::start(&settings) {
        Err(e) => {
            terminal.note(&format!("error: {e}"));
            Exit::Usage
        }
        Ok(fake) => {
            terminal.line(&format!(
                "fake OpenSearch {} listens on {}, until Ctrl-C",
                settings.version,
                fake.url()
            ));
            terminal.flush();
            loop {
                std::thread::park();
            }
        }
    }
}
