//! One call of the API: the request, the space it goes to, who makes it.

use super::http::Request;
use super::refusal::Refusal;
use super::state::Object;
use super::user::User;
use serde_json::{Number, Value};

/// A call, with its space and caller found out.
pub(super) struct Call<'a> {
    pub(super) request: &'a Request,
    /// The path without the space.
    pub(super) path: &'a str,
    pub(super) space: String,
    pub(super) user: User,
    /// A fault wants this call to stop half-way.
    pub(super) half: bool,
}

impl Call<'_> {
    /// The body as JSON.
    pub(super) fn json(&self) -> Result<Value, Refusal> {
        let kind = self.request.header("content-type").unwrap_or("");
        if !kind.to_ascii_lowercase().starts_with("application/json") {
            return Err(Refusal::platform(415, "Unsupported Media Type"));
        }
        let mut value: Value = serde_json::from_slice(&self.request.body)
            .map_err(|e| Refusal::platform(400, format!("Invalid JSON: {e}")))?;
        whole_numbers(&mut value);
        Ok(value)
    }

    /// The body as a JSON object.
    pub(super) fn object(&self) -> Result<Object, Refusal> {
        match self.json()? {
            Value::Object(o) => Ok(o),
            _ => Err(Refusal::request("body", "Expected object")),
        }
    }
}

/// To JavaScript 73.0 is 73. Depth is bounded by the JSON reader.
pub(super) fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(n) => {
            if let Some(f) = n.as_f64().filter(|f| n.is_f64() && f.fract() == 0.0 && f.abs() < 9e15) {
                // below 2^53 the conversion is exact
                #[expect(clippy::cast_possible_truncation, reason = "whole, and below 2^53")]
                let whole = f as i64;
                *n = Number::from(whole);
            }
        }
        Value::Array(all) => all.iter_mut().for_each(whole_numbers),
        Value::Object(all) => all.values_mut().for_each(whole_numbers),
        _ => {}
    }
}
