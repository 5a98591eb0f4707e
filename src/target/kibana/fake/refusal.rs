//! The error bodies of contract section 1: those of the detection engine, and the platform's.

use super::http::Reply;
use serde_json::{Value, json};

/// Why a request is not done. The same refusal is a whole answer, or one entry of a bulk answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) shape: Shape,
}

/// How the message is written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shape {
    /// `{message, status_code}`.
    Siem(String),
    /// The same with a list: what code checks, beyond the request's schema.
    List(Vec<String>),
    /// `{statusCode, error, message}`.
    Platform(String),
}

impl Refusal {
    pub(super) fn siem(status: u16, message: impl Into<String>) -> Refusal {
        Refusal { status, shape: Shape::Siem(message.into()) }
    }

    pub(super) fn list(messages: Vec<String>) -> Refusal {
        Refusal { status: 400, shape: Shape::List(messages) }
    }

    pub(super) fn platform(status: u16, message: impl Into<String>) -> Refusal {
        Refusal { status, shape: Shape::Platform(message.into()) }
    }

    /// A part of the request that does not fit its schema: `[request body]: …`.
    pub(super) fn request(part: &str, message: impl std::fmt::Display) -> Refusal {
        Refusal::platform(400, format!("[request {part}]: {message}"))
    }

    /// The message as one text, without the name of the part.
    pub(super) fn message(&self) -> String {
        match &self.shape {
            Shape::Siem(m) => m.clone(),
            Shape::Platform(m) => m.strip_prefix("[request body]: ").unwrap_or(m).to_owned(),
            Shape::List(all) => all.join(", "),
        }
    }

    /// The answer.
    pub(super) fn reply(&self) -> Reply {
        let status = self.status;
        let message: Value = match &self.shape {
            Shape::Siem(m) => m.as_str().into(),
            Shape::List(all) => json!(all),
            Shape::Platform(m) => return Reply::platform(status, m.as_str()),
        };
        Reply::json(status, &json!({ "message": message, "status_code": status }))
    }
}
