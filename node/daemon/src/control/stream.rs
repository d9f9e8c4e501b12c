//! One line of the event stream, as both ends know it.
use super::json::{field, fields, Json, Wrong};
use leyden_core::node::Notice;
use serde_json::{json, Value};

/// One line of the event stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StreamItem {
    /// A notice.
    Notice {
        /// Counted from 1 since the node's process began.
        number: u64,
        /// What happened.
        notice: Notice,
    },
    /// Notices that the reader was too slow for. The next line goes on after them.
    Lagged {
        /// How many.
        missed: u64,
    },
}

impl Json for StreamItem {
    const FORM: &'static str = "an event";

    fn write(&self) -> Value {
        match self {
            Self::Notice { number, notice } => {
                let mut object = notice.write();
                object["number"] = (*number).into();
                object
            }
            Self::Lagged { missed } => json!({ "event": "lagged", "missed": missed }),
        }
    }

    fn read(value: &Value) -> Result<Self, Wrong> {
        let object = fields(value)?;
        if field::<String>(object, "event")? == "lagged" {
            return Ok(Self::Lagged { missed: field(object, "missed")? });
        }
        Ok(Self::Notice { number: field(object, "number")?, notice: Notice::read(value)? })
    }
}
