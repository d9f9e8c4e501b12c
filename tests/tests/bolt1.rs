//! BOLT 1 against its own appendices: BigSize (A), TLV streams (B), the message extension (C). The vectors are the
//! spec's own text in `tests/data/bolt1`, read as it stands, so that none can be left out or copied wrongly.
use bitcoin::hex::{DisplayHex, FromHex};
use leyden_core::ids::ShortChannelId;
use leyden_core::wire::{DecodeError, Message, ReadError, Reader, TlvError, TlvRecord, TlvStream, Writer};
use serde::Deserialize;

const BIGSIZE_DECODING: &str = include_str!("../data/bolt1/bigsize-decoding.json");
const BIGSIZE_ENCODING: &str = include_str!("../data/bolt1/bigsize-encoding.json");
const TLV_STREAMS: &str = include_str!("../data/bolt1/tlv-streams.txt");
const MESSAGE_EXTENSION: &str = include_str!("../data/bolt1/message-extension.txt");

#[test]
fn bigsize_is_decoded_as_in_appendix_a() {
    let vectors: Vec<BigSizeVector> = serde_json::from_str(BIGSIZE_DECODING).unwrap();
    assert_eq!(vectors.len(), 18);
    for vector in vectors {
        let bytes = hex(&vector.bytes);
        let mut reader = Reader::new(&bytes);
        let outcome = reader.bigsize();
        match vector.exp_error.as_deref() {
            None => assert_eq!((outcome, reader.left()), (Ok(vector.value), 0), "{}", vector.name),
            Some("decoded bigsize is not canonical") => {
                assert_eq!(outcome, Err(ReadError::NotMinimal), "{}", vector.name);
            }
            Some(_) => assert!(matches!(outcome, Err(ReadError::TooShort { .. })), "{}", vector.name),
        }
    }
}

#[test]
fn bigsize_is_encoded_as_in_appendix_a() {
    let vectors: Vec<BigSizeVector> = serde_json::from_str(BIGSIZE_ENCODING).unwrap();
    assert_eq!(vectors.len(), 8);
    for vector in vectors {
        let mut writer = Writer::new();
        writer.bigsize(vector.value);
        assert_eq!(writer.into_bytes().to_lower_hex_string(), vector.bytes, "{}", vector.name);
    }
}

/// Duty N03, and each vector is refused for the reason that the spec gives.
#[test]
fn invalid_tlv_streams_are_refused_for_the_reason_in_appendix_b() {
    let vectors = invalid_streams();
    assert_eq!(vectors.len(), 38);
    for vector in vectors {
        for namespace in vector.namespaces {
            let error = namespace.decode(&vector.stream).expect_err(vector.remark);
            assert!(is_reason(&error, vector.remark), "{}: {error}", vector.remark);
        }
    }
}

#[test]
fn valid_tlv_streams_have_the_values_in_appendix_b() {
    let vectors = valid_streams();
    assert_eq!(vectors.len(), 19);
    for vector in vectors {
        // The first seven are to be accepted and ignored, the others name their values.
        let values = vector.remark.contains('=').then_some(vector.remark);
        for namespace in vector.namespaces {
            let found = namespace.decode(&vector.stream).unwrap();
            assert_eq!(found, Vec::from_iter(values), "{}", vector.remark);
        }
    }
}

#[test]
fn valid_tlv_streams_are_encoded_to_the_same_bytes() {
    for vector in valid_streams() {
        let mut records = vector.records();
        assert_eq!(TlvStream::encode(&records), vector.stream);
        records.reverse();
        assert_eq!(TlvStream::encode(&records), vector.stream, "order is the encoder's matter");
    }
}

#[test]
fn an_invalid_stream_behind_a_valid_one_is_refused() {
    for valid in valid_streams() {
        for invalid in invalid_streams() {
            let joined = [&valid.stream[..], &invalid.stream].concat();
            for namespace in shared(&valid, &invalid) {
                assert!(namespace.decode(&joined).is_err(), "{} + {}", valid.remark, invalid.remark);
            }
        }
    }
}

#[test]
fn a_valid_stream_behind_another_is_read_exactly_when_its_types_are_higher() {
    for first in valid_streams() {
        for second in valid_streams() {
            let (last, next) = (first.records().pop(), second.records().into_iter().next());
            let ordered = last.zip(next).is_none_or(|(last, next)| last.kind < next.kind);
            let joined = [&first.stream[..], &second.stream].concat();
            for namespace in shared(&first, &second) {
                match namespace.decode(&joined) {
                    Ok(_) => assert!(ordered, "{} + {}", first.remark, second.remark),
                    Err(error) => assert!(!ordered && matches!(error, TlvError::Order { .. }), "{error}"),
                }
            }
        }
    }
}

#[test]
fn extensions_of_init_are_read_or_refused_as_in_appendix_c() {
    let (valid, invalid) = MESSAGE_EXTENSION.split_once("are invalid:").unwrap();
    let vectors =
        |text: &'static str| text.lines().filter_map(|line| line.strip_prefix("- `0x")?.split_once('`'));
    let (valid, invalid) = (Vec::from_iter(vectors(valid)), Vec::from_iter(vectors(invalid)));
    assert_eq!((valid.len(), invalid.len()), (2, 3));
    for (stream, remark) in valid {
        let message = Message::decode(&hex(stream)).unwrap();
        assert_eq!(message.encode().to_lower_hex_string(), stream, "{remark}");
    }
    for (stream, remark) in invalid {
        let outcome = Message::decode(&hex(stream));
        assert!(matches!(outcome, Err(DecodeError::Extension { kind: 16, .. })), "{remark}");
    }
}

/// Duty N01.
#[test]
fn an_unknown_type_is_refused_when_even_and_ignored_when_odd() {
    assert_eq!(Message::decode(&hex("fffe0102")), Err(DecodeError::UnknownEven { kind: 0xfffe }));
    assert_eq!(Message::decode(&hex("ffff0102")), Ok(Message::Unknown { kind: 0xffff }));
}

/// Duty N02.
#[test]
fn a_known_message_that_is_too_short_is_refused_with_the_field_that_is_missing() {
    let problem = ReadError::TooShort { needed: 2, left: 1 };
    let ping = DecodeError::Field { kind: 18, field: "num_pong_bytes", problem };
    assert_eq!(Message::decode(&hex("001200")), Err(ping));
    assert_eq!(ping.to_string(), "message of type 18, field num_pong_bytes: needs 2 bytes where 1 are left");
    assert_eq!(Message::decode(&[0]), Err(DecodeError::NoType { len: 1 }));
}

#[test]
fn a_truncated_integer_is_written_without_leading_zeros() {
    let written = |value| {
        let mut writer = Writer::new();
        writer.tu64(value);
        writer.into_bytes().to_lower_hex_string()
    };
    assert_eq!([0, 1, 256, u64::MAX].map(written), ["", "01", "0100", "ffffffffffffffff"]);
    assert_eq!(Reader::new(&[1, 0, 0]).tu16(), Err(ReadError::TooLong { extra: 1 }));
    assert_eq!(Reader::new(&[0, 1]).tu16(), Err(ReadError::NotMinimal));
    assert_eq!(Reader::new(&[]).tu32(), Ok(0));
}

#[derive(Deserialize)]
struct BigSizeVector {
    name: String,
    value: u64,
    bytes: String,
    exp_error: Option<String>,
}

/// The two namespaces that Appendix B defines.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Namespace {
    N1,
    N2,
}

impl Namespace {
    /// Reads a stream; the known values come out as Appendix B writes them.
    fn decode(self, stream: &[u8]) -> Result<Vec<String>, TlvError> {
        let known: &[u64] = match self {
            Namespace::N1 => &[1, 2, 3, 254],
            Namespace::N2 => &[0, 11],
        };
        let mut records = TlvStream::parse(stream, known)?;
        let values = match self {
            Namespace::N1 => vec![
                records.take(1, |r| Ok(format!("`tlv1` `amount_msat`={}", r.tu64()?)))?,
                records.take(2, |r| Ok(format!("`tlv2` `scid`={}", ShortChannelId(r.u64()?))))?,
                records.take(3, |r| {
                    let (node_id, first, second) = (r.point()?, r.u64()?, r.u64()?);
                    Ok(format!("`tlv3` `node_id`={node_id} `amount_msat_1`={first} `amount_msat_2`={second}"))
                })?,
                records.take(254, |r| Ok(format!("`tlv4` `cltv_delta`={}", r.u16()?)))?,
            ],
            Namespace::N2 => vec![
                records.take(0, |r| Ok(format!("`tlv1` `amount_msat`={}", r.tu64()?)))?,
                records.take(11, |r| Ok(format!("`tlv2` `cltv_expiry`={}", r.tu32()?)))?,
            ],
        };
        Ok(values.into_iter().flatten().collect())
    }
}

/// One vector of Appendix B: a stream, the namespaces it is for, and the line that says what is due.
struct StreamVector {
    namespaces: Vec<Namespace>,
    stream: Vec<u8>,
    remark: &'static str,
}

impl StreamVector {
    /// The records of a valid stream; which types are known does not matter for that.
    fn records(&self) -> Vec<TlvRecord> {
        TlvStream::parse(&self.stream, &[0, 1, 2, 3, 11, 254]).unwrap().into_records()
    }
}

fn invalid_streams() -> Vec<StreamVector> {
    stream_vectors("1. Invalid stream: 0x", "2. Reason: ")
}

fn valid_streams() -> Vec<StreamVector> {
    let mut vectors = stream_vectors("1. Valid stream: 0x", "2. Values: ");
    vectors.extend(stream_vectors("1. Valid stream: 0x", "2. Explanation: "));
    vectors
}

/// The vectors of one kind. A sentence that begins with "The following" or "In addition" says for which namespaces
/// the vectors below it are.
fn stream_vectors(stream_mark: &str, remark_mark: &str) -> Vec<StreamVector> {
    let mut namespaces = Vec::new();
    let mut vectors = Vec::new();
    for (line, next) in TLV_STREAMS.lines().zip(TLV_STREAMS.lines().skip(1)) {
        if line.starts_with("The following") || line.starts_with("In addition") {
            namespaces = match (line.contains("`n1`"), line.contains("`n2`")) {
                (true, _) => vec![Namespace::N1],
                (_, true) => vec![Namespace::N2],
                _ => vec![Namespace::N1, Namespace::N2],
            };
        }
        if let Some((stream, remark)) = line.strip_prefix(stream_mark).zip(next.strip_prefix(remark_mark)) {
            let stream = hex(&stream.replace(' ', ""));
            vectors.push(StreamVector { namespaces: namespaces.clone(), stream, remark });
        }
    }
    vectors
}

fn shared<'a>(one: &'a StreamVector, other: &'a StreamVector) -> impl Iterator<Item = &'a Namespace> {
    one.namespaces.iter().filter(|namespace| other.namespaces.contains(namespace))
}

/// Whether the error is the one that the spec's words describe.
fn is_reason(error: &TlvError, remark: &str) -> bool {
    use ReadError::{NotMinimal, Point, TooLong, TooShort};
    let is = |words: &str| remark.contains(words);
    match error {
        TlvError::Type { problem: NotMinimal } => is("not minimally encoded type"),
        TlvError::Type { .. } => is("type truncated"),
        TlvError::Length { problem: NotMinimal, .. } => is("not minimally encoded length"),
        TlvError::Length { .. } => is("missing length") || is("length truncated"),
        TlvError::Overrun { .. } => is("missing value") || is("value truncated"),
        TlvError::Order { .. } => is("invalid ordering") || is("duplicate TLV type"),
        TlvError::UnknownEven { .. } => is("unknown even"),
        TlvError::Value { problem: NotMinimal, .. } => is("is not minimal"),
        TlvError::Value { problem: TooLong { .. }, .. } => is("greater than encoding length"),
        TlvError::Value { problem: TooShort { .. }, .. } => is("less than encoding length"),
        TlvError::Value { problem: Point, .. } => is("not a valid point"),
        TlvError::Value { .. } => false,
    }
}

fn hex(text: &str) -> Vec<u8> {
    Vec::from_hex(text).unwrap()
}
