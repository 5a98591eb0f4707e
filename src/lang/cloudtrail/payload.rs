//! Request parameters, response elements and their like: once as Java's text of a map, once as they
//! are for the `flattened` fields; and the resources.

use super::javamap::{self, Printer};
use super::needs::{Needs, Part};
use super::record::{Field, Node, Record};
use super::section::Section;
use super::{Options, Retain};
use serde_json::Value;

/// A text of so many UTF-16 units has no flattened copy.
const LONGEST_FLATTENED: usize = 32_766;

/// A payload: where it comes from, the document's name for it, the parts that are made of it, and
/// the only keys that the shortest flattened copy keeps.
struct Payload {
    field: Field,
    name: &'static str,
    text: Part,
    flattened: Part,
    minimal: &'static [&'static str],
}

const PAYLOADS: [Payload; 4] = [
    Payload {
        field: Field::AdditionalEventData,
        name: "additional_eventdata",
        text: Part::Additional,
        flattened: Part::FlatAdditional,
        minimal: &["SSEApplied"],
    },
    Payload {
        field: Field::RequestParameters,
        name: "request_parameters",
        text: Part::Request,
        flattened: Part::FlatRequest,
        minimal: &[
            "cidrIp",
            "dryRun",
            "fromPort",
            "includeDeprecated",
            "policyArn",
            "serialNumber",
            "withDecryption",
            "x-amz-server-side-encryption-customer-algorithm",
        ],
    },
    Payload {
        field: Field::ResponseElements,
        name: "response_elements",
        text: Part::Response,
        flattened: Part::FlatResponse,
        minimal: &[],
    },
    Payload {
        field: Field::ServiceEventDetails,
        name: "service_event_details",
        text: Part::Service,
        flattened: Part::FlatService,
        minimal: &[],
    },
];

/// Writes the texts to `cloudtrail` and the copies to `flattened`.
pub(super) fn write(
    record: &Record<'_>,
    needs: &Needs,
    options: &Options,
    cloudtrail: &mut Section,
    flattened: &mut Section,
) {
    let texts = matches!(options.retain, Retain::All | Retain::Keyword | Retain::Minimal);
    let copies = matches!(options.retain, Retain::All | Retain::Flattened | Retain::Minimal);
    let mut printer = Printer::default();
    for payload in &PAYLOADS {
        let node = record.get(payload.field);
        if node.is_null() {
            continue;
        }
        let (write_text, write_copy) =
            (texts && needs.has(payload.text), copies && needs.has(payload.flattened));
        // a Java text is at most three times as long as the JSON text ("1e6" becomes "1000000.0")
        let may_be_long = record.size.saturating_mul(3) >= LONGEST_FLATTENED;
        let mut short = true;
        if write_text || (write_copy && may_be_long) {
            let text = printer.print(node, 256);
            short = javamap::length(&text) < LONGEST_FLATTENED;
            if write_text {
                cloudtrail.text(payload.name, text);
            }
        }
        if write_copy && short {
            flattened.value(payload.name, copy(node, payload, options.retain));
        }
    }
}

fn copy(node: &Node<'_>, payload: &Payload, retain: Retain) -> Value {
    if retain != Retain::Minimal {
        return node.to_value();
    }
    let mut out = Section::default();
    for key in payload.minimal {
        out.node(key, node.get(key));
    }
    Value::Object(out.0)
}

/// `aws.cloudtrail.resources`: without repetitions, in the order of a Java map.
pub(super) fn resources(record: &Record<'_>) -> Value {
    let node = record.get(Field::Resources);
    let Node::List(items) = node else { return node.to_value() };
    let mut unique: Vec<(String, Value)> = Vec::with_capacity(items.len());
    let mut places = rustc_hash::FxHashMap::default();
    for item in items {
        let Some(map) = item.map() else { continue };
        let mut out = Section::default();
        for (name, value) in &map.entries {
            let name = match name.as_ref() {
                "ARN" => "arn",
                "accountId" => "account_id",
                other => other,
            };
            out.node(name, value);
        }
        let part = |names: [&str; 2]| {
            let value = names.iter().map(|n| item.get(n)).find(|v| !v.is_null());
            value.map(|v| Printer::default().print(v, 64)).unwrap_or_default()
        };
        let key = [part(["ARN", "arn"]), part(["accountId", "account_id"]), part(["type", "type"])].join("_");
        match places.get(&key).and_then(|i: &usize| unique.get_mut(*i)) {
            Some((_, known)) => *known = Value::Object(out.0),
            None => {
                places.insert(key.clone(), unique.len());
                unique.push((key, Value::Object(out.0)));
            }
        }
    }
    javamap::sort(&mut unique);
    Value::Array(unique.into_iter().map(|(_, v)| v).collect())
}
