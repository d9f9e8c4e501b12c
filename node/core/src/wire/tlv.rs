//! BOLT 1 TLV streams: the rules that hold whatever the records mean. What a known record's value means is said by
//! the caller, with a reader that must come out empty.
use super::{ReadError, Reader, Writer};

/// One type-length-value record as it came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlvRecord {
    /// The record's type.
    pub kind: u64,
    /// The record's value.
    pub value: Vec<u8>,
}

impl TlvRecord {
    /// A record whose value is what `write` writes.
    pub fn new(kind: u64, write: impl FnOnce(&mut Writer)) -> Self {
        let mut value = Writer::new();
        write(&mut value);
        Self { kind, value: value.into_bytes() }
    }
}

/// Why bytes are not a TLV stream in its namespace (BOLT 1, "Type-Length-Value Format": MUST fail to parse).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TlvError {
    /// A record's type cannot be read.
    #[error("TLV type: {problem}")]
    Type {
        /// What was wrong.
        problem: ReadError,
    },
    /// A record's length cannot be read.
    #[error("length of TLV {kind}: {problem}")]
    Length {
        /// The record's type.
        kind: u64,
        /// What was wrong.
        problem: ReadError,
    },
    /// A record says it is longer than what is left.
    #[error("TLV {kind} has {length} bytes where {left} are left")]
    Overrun {
        /// The record's type.
        kind: u64,
        /// Its length.
        length: u64,
        /// Bytes left in the stream.
        left: usize,
    },
    /// Types are not strictly increasing.
    #[error("TLV {kind} after TLV {previous}")]
    Order {
        /// The record's type.
        kind: u64,
        /// The type of the record before it.
        previous: u64,
    },
    /// A record of an even type that is not known in this namespace.
    #[error("unknown even TLV {kind}")]
    UnknownEven {
        /// The record's type.
        kind: u64,
    },
    /// A known record's value cannot be read as what it should be.
    #[error("value of TLV {kind}: {problem}")]
    Value {
        /// The record's type.
        kind: u64,
        /// What was wrong.
        problem: ReadError,
    },
}

/// The records of one stream, in order. Known ones are taken out with [`TlvStream::take`]; what is then left was not
/// understood and is odd.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct TlvStream {
    records: Vec<TlvRecord>,
}

impl TlvStream {
    /// Reads all of `bytes` as one stream. `known` are the types of the namespace that the caller will take; an
    /// even type that is not among them is refused, an odd one is kept.
    pub fn parse(bytes: &[u8], known: &[u64]) -> Result<Self, TlvError> {
        let mut reader = Reader::new(bytes);
        let mut records: Vec<TlvRecord> = Vec::new();
        while !reader.is_empty() {
            let kind = reader.bigsize().map_err(|problem| TlvError::Type { problem })?;
            if let Some(previous) = records.last().map(|record| record.kind).filter(|last| *last >= kind) {
                return Err(TlvError::Order { kind, previous });
            }
            if kind % 2 == 0 && !known.contains(&kind) {
                return Err(TlvError::UnknownEven { kind });
            }
            let length = reader.bigsize().map_err(|problem| TlvError::Length { kind, problem })?;
            let overrun = TlvError::Overrun { kind, length, left: reader.left() };
            let count = usize::try_from(length).map_err(|_| overrun)?;
            let value = reader.bytes(count).map_err(|_| overrun)?.to_vec();
            records.push(TlvRecord { kind, value });
        }
        Ok(Self { records })
    }

    /// Takes the record of this type out and reads its value, which must be used up; nothing when there is none.
    pub fn take<T>(
        &mut self,
        kind: u64,
        read: impl FnOnce(&mut Reader<'_>) -> Result<T, ReadError>,
    ) -> Result<Option<T>, TlvError> {
        let Some(index) = self.records.iter().position(|record| record.kind == kind) else {
            return Ok(None);
        };
        let record = self.records.remove(index);
        let mut reader = Reader::new(&record.value);
        let value = read(&mut reader).and_then(|value| reader.finish().map(|()| value));
        value.map(Some).map_err(|problem| TlvError::Value { kind, problem })
    }

    /// The records that were not taken, in order.
    pub fn records(&self) -> &[TlvRecord] {
        &self.records
    }

    /// The records that were not taken, in order.
    pub fn into_records(self) -> Vec<TlvRecord> {
        self.records
    }

    /// The stream of these records, in order of type whatever their order was.
    pub fn encode<'r>(records: impl IntoIterator<Item = &'r TlvRecord>) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.tlv_stream(records);
        writer.into_bytes()
    }
}
