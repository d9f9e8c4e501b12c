//! One message of the wire: read, written, read again to the same value; the channel it names is found without reading it.

use leyden_core::wire::{Message, MAX_MESSAGE_LEN};

pub fn run(data: &[u8]) {
    let peeked = Message::peek_channel_id(data);
    let Ok(message) = Message::decode(data) else { return };
    let written = message.encode();
    assert!(written.len() <= MAX_MESSAGE_LEN);
    assert_eq!(Message::decode(&written), Ok(message.clone()), "what was written reads as what it was");
    assert_eq!(peeked, message.channel_id());
    assert!(!message.name().is_empty());
}
