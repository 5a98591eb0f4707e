//! What goes wrong on demand, at which request.

use super::{Reply, refused};
use serde_json::{Value, json};
use std::time::Duration;

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// This status, with an error of this type, instead of an answer. Nothing is done.
    Status(u16, &'static str),
    /// The plugin is gone: 400 with the error as a plain text. Nothing is done.
    NoPlugin,
    /// The cluster takes no writes: 403 with a cluster block. Nothing is done, and reads go on.
    ReadOnly,
    /// The connection ends before anything is done.
    Refuse,
    /// The request is done; the connection ends without an answer.
    LostReply,
    /// The request is done; the answer breaks off in the middle.
    Reset,
    /// The request is done after so long.
    Slow(Duration),
    /// Before the request somebody sets this property of every monitor.
    EditBefore(&'static str, Value),
}

/// A fault and when it happens.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub fault: Fault,
    /// How many requests go well before it.
    pub after: usize,
    /// How often it happens.
    pub times: usize,
}

impl Planned {
    /// The fault, where this request is one that it happens to.
    pub fn next(&mut self) -> Option<Fault> {
        if self.after > 0 {
            self.after -= 1;
            return None;
        }
        self.times = self.times.checked_sub(1)?;
        Some(self.fault.clone())
    }
}

impl Fault {
    /// What is answered instead of doing what was asked.
    pub(super) fn instead(&self, is_write: bool, request: &str) -> Option<Reply> {
        Some(match self {
            Fault::Status(status, kind) => refused(*status, kind, "as a fault wants it"),
            Fault::NoPlugin => {
                let text = format!("no handler found for uri [{request}]");
                Reply::json(400, &json!({ "error": text, "status": 400 }))
            }
            Fault::ReadOnly if is_write => refused(
                403,
                "cluster_block_exception",
                "blocked by: [FORBIDDEN/13/cluster create-index blocked (api)];",
            ),
            _ => return None,
        })
    }
}
