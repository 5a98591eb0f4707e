//! Raw CloudTrail records to the ECS documents that the AWS integration 8.9.0 makes of them: the
//! fields, the texts and their order, the errors. What needs a database or a clock is left out:
//! GeoIP and ASN, `event.created`, `event.ingested`.

mod digest;
mod entity;
mod event;
mod identity;
mod javamap;
mod names;
mod needs;
mod payload;
mod record;
mod related;
mod section;
mod shape;
mod time;
mod useragent;

#[cfg(test)]
mod tests;

pub use event::kinds;
pub use needs::Needs;
pub use shape::{Wrapping, complete_ecs, unwrap, wrapping};

use needs::Part;
use record::{Field, Node, Record};
use rustc_hash::FxHashSet;
use section::Section;
use serde_json::Value;

/// Which forms of the payloads (request parameters and their like) a document keeps: the
/// integration's `retain` setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Retain {
    /// Texts and flattened copies.
    #[default]
    All,
    /// Flattened copies only.
    Flattened,
    /// Texts only.
    Keyword,
    /// Texts, and of the flattened copies what Elastic's own rules read.
    Minimal,
    /// Neither.
    None,
}

impl Retain {
    /// The setting of a name as the integration has it.
    pub fn from_name(name: &str) -> Option<Retain> {
        Some(match name {
            "all" => Retain::All,
            "flattened" => Retain::Flattened,
            "keyword" => Retain::Keyword,
            "minimal" => Retain::Minimal,
            "none" => Retain::None,
            _ => return None,
        })
    }
}

/// How to convert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Which forms of the payloads are kept.
    pub retain: Retain,
    /// Whether `event.original` holds the record's text. A record with errors keeps it anyway, as
    /// the tag `preserve_original_event` says.
    pub keep_original: bool,
    /// Whether entities, targets and actors are worked out (the tag `actor_target_mapping`).
    pub entities: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options { retain: Retain::All, keep_original: false, entities: true }
    }
}

/// Why a text is no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// It is no JSON. Line and column count from 1, the offset in bytes from 0.
    #[error("invalid JSON: {message} at line {line} column {column}")]
    Syntax {
        /// What is wrong.
        message: String,
        /// The line.
        line: usize,
        /// The column, in bytes.
        column: usize,
        /// The offset in the text.
        offset: usize,
    },
    /// It is JSON, but no object.
    #[error("not a JSON object")]
    NotAnObject,
    /// It is nested deeper than 128 levels.
    #[error("nested deeper than 128 levels")]
    TooDeep,
}

impl ConvertError {
    fn of(error: &serde_json::Error, text: &[u8]) -> ConvertError {
        let full = error.to_string();
        if full.starts_with("recursion limit exceeded") {
            return ConvertError::TooDeep;
        }
        if error.is_data() {
            return ConvertError::NotAnObject;
        }
        let message = full.rsplit_once(" at line ").map_or(full.as_str(), |(m, _)| m).to_owned();
        let (line, column) = (error.line(), error.column());
        let before: usize =
            text.split_inclusive(|b| *b == b'\n').take(line.saturating_sub(1)).map(<[u8]>::len).sum();
        let offset = (before + column.saturating_sub(1)).min(text.len());
        ConvertError::Syntax { message, line, column, offset }
    }
}

/// A document, and what went wrong on the way.
#[derive(Clone, Debug, PartialEq)]
pub struct Converted {
    /// The ECS document; its keys always come in the same order.
    pub document: Value,
    /// The pipeline's errors, also in `error.message`: those of the parts that were computed, all of
    /// them if [`Needs`] has `error.message` or `event.kind`.
    pub errors: Vec<String>,
}

/// The errors of a conversion.
#[derive(Default)]
struct Errors(Vec<String>);

impl Errors {
    fn add(&mut self, processor: &str, tag: &str, message: std::fmt::Arguments<'_>) {
        self.0.push(format!(
            "Processor {processor} with tag {tag} in pipeline logs-aws.cloudtrail-8.9.0 failed with message: {message}"
        ));
    }
}

/// Converts records. Cheap to share between threads; keeps the answers for user agents.
#[derive(Debug, Default)]
pub struct Converter {
    options: Options,
    answers: useragent::Answers,
}

impl Converter {
    /// A converter.
    pub fn new(options: Options) -> Converter {
        Converter { options, answers: useragent::Answers::default() }
    }

    /// The ECS document of one record's JSON text.
    ///
    /// # Errors
    /// When the text is no JSON object or is nested too deep.
    pub fn convert(&self, record: &[u8], needs: &Needs) -> Result<Converted, ConvertError> {
        let text = std::str::from_utf8(record).map_err(|e| not_utf8(record, e.valid_up_to()))?;
        let mut record = Record::parse(text, needs)?;
        let mut signed_in = Node::Null;
        if identity::lacks_user_name(&record)
            && let Some(more) = record.get_mut(Field::AdditionalEventData)
        {
            signed_in = more.remove("UserName");
        }
        Ok(self.assemble(&record, &signed_in, text, needs))
    }

    fn assemble(&self, record: &Record<'_>, signed_in: &Node<'_>, text: &str, needs: &Needs) -> Converted {
        let mut errors = Errors::default();
        let is_digest = digest::is_digest(record);
        let timestamp = timestamp(record, &mut errors);
        let mut entities = entity::Sections::default();
        if self.options.entities && needs.entities() {
            match entity::write(record) {
                Ok(found) if needs.has(Part::Entities) => entities = found,
                Ok(_) => {}
                Err(message) => errors.add("script", "entities", format_args!("{message}")),
            }
        }
        let entity::Sections { actor: actor_entity, entity, host, mut related, mut service, target, .. } =
            entities;
        let (mut user, mut user_target) = (entities.user, entities.user_target);
        let actor = identity::actor(record, signed_in, &mut errors);
        let cloudtrail = self.cloudtrail(record, is_digest, needs, &mut errors);
        related::write(record, &actor, needs, &mut related);
        if needs.has(Part::User) {
            event::user(record, &actor, &mut user, &mut user_target);
        }
        user.section("target", user_target);
        if needs.has(Part::ServiceName) {
            service.maybe("name", actor.service);
        }

        let mut out = Section::with_capacity(20);
        if needs.has(Part::Timestamp) {
            out.maybe("@timestamp", timestamp);
        }
        out.section("actor", actor_entity);
        let mut aws = Section::default();
        aws.section("cloudtrail", cloudtrail);
        out.section("aws", aws);
        if needs.has(Part::Cloud) {
            out.section("cloud", event::cloud(record));
        }
        if needs.has(Part::Constants) {
            out.section("data_stream", data_stream());
            let mut ecs = Section::default();
            ecs.text("version", "8.11.0");
            out.section("ecs", ecs);
        }
        out.section("entity", entity);
        if needs.has(Part::Errors) && !errors.0.is_empty() {
            let mut error = Section::default();
            error.list("message", &errors.0);
            out.section("error", error);
        }
        out.section("event", self.event(record, text, !errors.0.is_empty(), needs));
        if needs.has(Part::File) {
            let mut file = Section::default();
            file.node("path", record.get(Field::DigestS3Object));
            out.section("file", file);
        }
        if needs.has(Part::Group) {
            out.section("group", event::group(record));
        }
        out.section("host", host);
        out.section("related", related);
        out.section("service", service);
        if needs.has(Part::Source) {
            out.section("source", event::source(record));
        }
        if needs.has(Part::Errors) && !errors.0.is_empty() {
            out.list("tags", ["preserve_original_event"]);
        }
        out.section("target", target);
        if needs.has(Part::Tls) {
            out.section("tls", event::tls(record));
        }
        out.section("user", user);
        out.section("user_agent", self.user_agent(record, needs));
        Converted { document: Value::Object(out.0), errors: errors.0 }
    }

    fn cloudtrail(
        &self,
        record: &Record<'_>,
        is_digest: bool,
        needs: &Needs,
        errors: &mut Errors,
    ) -> Section {
        let (mut out, mut flattened) = (Section::with_capacity(20), Section::with_capacity(4));
        if needs.has(Part::Addendum) {
            out.section("addendum", event::addendum(record));
        }
        if needs.has(Part::ConsoleLogin) {
            out.section("console_login", event::console_login(record));
        }
        payload::write(record, needs, &self.options, &mut out, &mut flattened);
        if needs.has(Part::Plain) {
            event::plain(record, &mut out);
        }
        if is_digest && (needs.has(Part::Digest) || needs.has(Part::Errors)) {
            let digest = digest::write(record, errors);
            if needs.has(Part::Digest) {
                flattened.section("digest", digest);
            }
        }
        if needs.has(Part::Insight) {
            flattened.node("insight_details", record.get(Field::InsightDetails));
        }
        out.section("flattened", flattened);
        if needs.has(Part::Resources) {
            out.value("resources", payload::resources(record));
        }
        if needs.has(Part::Tls) {
            let mut tls = Section::default();
            tls.node("key_exchange", event::tls_details(record).get("keyExchange"));
            out.section("tls_details", tls);
        }
        if needs.has(Part::Identity) {
            out.section("user_identity", identity::write(record, errors));
        } else {
            identity::check(record, errors);
        }
        out
    }

    fn event(&self, record: &Record<'_>, text: &str, failed: bool, needs: &Needs) -> Section {
        let mut out = Section::with_capacity(10);
        if needs.has(Part::Event) {
            event::event(record, &mut out);
        }
        if needs.has(Part::Constants) {
            out.text("dataset", "aws.cloudtrail");
            out.text("module", "aws");
        }
        if needs.has(Part::Errors) {
            out.text("kind", if failed { "pipeline_error" } else { "event" });
            if self.options.keep_original || failed {
                out.text("original", text);
            }
        }
        out
    }

    /// Whether `user_agent.name` of a record with this `userAgent` is one of `names`: what a prefilter may ask
    /// before it converts.
    pub fn agent_is_one_of(&self, agent: &str, names: &FxHashSet<Box<str>>) -> bool {
        names.contains(self.answers.get(agent).name())
    }

    fn user_agent(&self, record: &Record<'_>, needs: &Needs) -> Section {
        let agent = record.get(Field::UserAgent).str();
        let original = agent.filter(|_| needs.has(Part::UserAgent));
        if let Some(agent) = agent
            && needs.has(Part::UserAgentAnswers)
        {
            return self.answers.get(agent).write(original);
        }
        let mut out = Section::default();
        out.maybe("original", original);
        out
    }
}

/// When the event happened; a digest, when it was made.
fn timestamp(record: &Record<'_>, errors: &mut Errors) -> Option<String> {
    let mut time = None;
    if let Some(text) = record.get(Field::EventTime).text() {
        time = time::iso(&text);
        if time.is_none() {
            errors.add("date", "event_time", format_args!("unable to parse date [{text}]"));
        }
    }
    digest::end_time(record).or(time)
}

fn data_stream() -> Section {
    let mut out = Section::default();
    out.text("dataset", "aws.cloudtrail");
    out.text("namespace", "default");
    out.text("type", "logs");
    out
}

fn not_utf8(text: &[u8], offset: usize) -> ConvertError {
    let before = text.get(..offset).unwrap_or_default();
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|b| **b != b'\n').count() + 1;
    ConvertError::Syntax { message: "the text is not UTF-8".to_owned(), line, column, offset }
}
