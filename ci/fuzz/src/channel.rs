//! A channel's record: any bytes, or a good record with some bytes changed. What is read is written to the same value.

use crate::bytes::Bytes;
use crate::life;
use crate::world::seed;
use leyden_core::channel::Channel;
use leyden_core::node::RecordKey;
use std::sync::LazyLock;

/// Good records with the node that each belongs to.
static GOOD: LazyLock<Vec<(usize, Vec<u8>)>> = LazyLock::new(|| {
    let worlds = [life::ready(), life::busy()];
    let nodes = worlds.iter().flat_map(|world| world.records.iter().enumerate());
    let records = nodes.flat_map(|(n, records)| records.iter().map(move |record| (n, record)));
    let channels = records.filter(|(_, (key, _))| matches!(key, RecordKey::Channel(_)));
    channels.map(|(n, (_, bytes))| (n, bytes.clone())).collect()
});

pub fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let Some(choice) = bytes.byte() else { return };
    if choice == 0 {
        return read(0, bytes.rest());
    }
    let (n, good) = &GOOD[usize::from(choice) % GOOD.len()];
    let mut record = good.clone();
    while let (Some(at), Some(value)) = (bytes.short(), bytes.byte()) {
        let at = usize::from(at) % record.len();
        record[at] = value;
    }
    read(*n, &record);
}

fn read(n: usize, record: &[u8]) {
    let keys = |index| seed(n).channel_keys(index);
    let Ok(channel) = Channel::decode(record, keys) else { return };
    let written = channel.encode();
    let Ok(again) = Channel::decode(&written, keys) else { panic!("what was written can be read") };
    assert!(again.encode() == written, "it reads as what it was");
}
