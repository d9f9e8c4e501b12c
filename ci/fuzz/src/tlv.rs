//! A TLV stream in a namespace of which the first byte says which types are known: what is read is written to the same bytes.

use leyden_core::wire::{Reader, TlvStream};

pub fn run(data: &[u8]) {
    let Some((namespace, stream)) = data.split_first() else { return };
    let known: Vec<u64> = (0..8).filter(|bit| namespace >> bit & 1 == 1).map(|bit| 2 * bit).collect();
    let Ok(mut records) = TlvStream::parse(stream, &known) else { return };
    assert_eq!(TlvStream::encode(records.records()), stream, "a stream has one form");
    for kind in known {
        let _ = match kind % 8 {
            0 => records.take(kind, |reader| reader.tu64()),
            2 => records.take(kind, |reader| reader.bigsize()),
            4 => records.take(kind, |reader| reader.point().map(|_| 0)),
            _ => records.take(kind, |reader| reader.sized_u16().map(|bytes| bytes.len() as u64)),
        };
    }
    let left = records.into_records();
    assert!(left.iter().all(|record| record.kind % 2 == 1 || record.kind < 16));
    let mut reader = Reader::new(stream);
    while reader.bigsize().is_ok() {}
}
