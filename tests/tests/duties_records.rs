//! A channel's record that a disk or a person changed: what cannot be true is an error, and what can be read never makes the
//! node sign what it must not.
mod pair;

use leyden_core::channel::*;
use pair::*;

/// Bytes of the record of a channel with some history, changed one at a time.
#[test]
fn a_record_that_was_tampered_with_is_refused_or_harmless() {
    let mut pair = Pair::open(Setup::default());
    pair.add(A, 1, 10_000_000).unwrap();
    pair.settle();
    pair.command(B, Command::Fulfill { id: 0, preimage: preimage(1) }).unwrap();
    pair.settle();
    pair.add(B, 2, 20_000_000).unwrap();
    pair.command(B, Command::Commit).unwrap();
    let good = pair.channel(B).encode();
    // Beyond it lie the onions, where each byte is as good as another.
    let (head, tail) = (0..250, good.len() - 350..good.len());
    for at in head.chain(tail) {
        let mut bytes = good.clone();
        bytes[at] ^= 2;
        let Ok(channel) = Channel::decode(&bytes, |index| pair.b.seed.channel_keys(index)) else { continue };
        let close = Command::Close { script: None, feerate: None };
        for command in [Command::ForceClose, Command::Commit, close] {
            // Whatever comes of it: it does not panic.
            let _ = channel.step(Input::Command(command), &pair.env);
        }
    }
}
