//! The run read a second time, from what crossed the wire, reached the chain and was saved: each channel's books, who knew
//! which preimage when, what was handed to the chain. No node is asked. It judges nothing: the checks do, each in its file.

mod beach;
mod course;
#[cfg(test)]
pub(super) mod fixture;
mod said;
mod view;
mod walk;

pub use beach::{Beach, Spend, Way};
pub use course::{side, Course, How, Htlc, HtlcRef, Landing, Limits, Output, Released, Removal};
pub use view::{Change, Key, View};

use crate::names::Names;
use crate::transcript::{Transcript, Verdict};
use bitcoin::{OutPoint, Txid};
use leyden_core::ids::{ChannelId, PaymentHash, Preimage};
use leyden_core::units::{Msat, Sat};
use secp256k1::ecdsa::Signature;
use std::collections::BTreeMap;

/// A point in the run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Moment {
    /// The place in the order of all that happened.
    pub place: usize,
    /// The chain's height then.
    pub height: u32,
}

/// A transaction that a party handed to the chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Handed {
    /// When.
    pub now: Moment,
    /// By whom.
    pub party: usize,
    /// Which.
    pub txid: Txid,
    /// What it spends.
    pub inputs: Vec<OutPoint>,
    /// What the chain said.
    pub verdict: Verdict,
}

/// An HTLC that its receiver refused on the wire, and how the one that it was forwarded as stood then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Failback {
    /// When.
    pub now: Moment,
    /// The HTLC that came in.
    pub incoming: HtlcRef,
    /// The one that went out.
    pub downstream: Downstream,
}

/// How an HTLC that went out stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Downstream {
    /// There never was one.
    Never,
    /// Its removal is irrevocable.
    Removed,
    /// Its output was spent, in a block with this many on and above it.
    Spent {
        /// Blocks.
        depth: u32,
    },
    /// The channel's end on the chain has no output for it, and is this deep.
    Missing {
        /// Blocks.
        depth: u32,
    },
    /// It can still be claimed.
    Open,
}

/// An HTLC that its receiver had not answered when it expired, though it could have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Late {
    /// When.
    pub now: Moment,
    /// Which HTLC.
    pub htlc: HtlcRef,
}

/// A signature of the other end's next commitment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Signed {
    /// When.
    pub now: Moment,
    /// Which channel.
    pub course: usize,
    /// The end that signed.
    pub signer: usize,
    /// The commitment's number, from 0.
    pub number: u64,
    /// Both ends' balances in it, in millisatoshis.
    pub balances: [i128; 2],
    /// The HTLCs that each end has on offer in it.
    pub offered: [usize; 2],
    /// How many of them have an output.
    pub untrimmed: usize,
    /// The ends whose new HTLCs it holds.
    pub new_from: [bool; 2],
    /// What the opener pays for it.
    pub cost: Sat,
    /// Whether every signature in the message has a low S.
    pub low_s: bool,
    /// The commitment's.
    pub signature: Option<Signature>,
}

/// An HTLC offered that has no output, and what all such on offer come to with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dust {
    /// The HTLC.
    pub htlc: HtlcRef,
    /// All of them in the commitment.
    pub exposure: Msat,
}

/// A secret given up before the record that makes its commitment old was durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unsaved {
    /// Which channel.
    pub course: usize,
    /// The end that gave it up.
    pub end: usize,
    /// The commitment's number, from 0.
    pub number: u64,
}

/// An `error` or a `warning` that a node sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scolding {
    /// By whom.
    pub from: usize,
    /// To whom.
    pub to: usize,
    /// About which channel.
    pub channel: ChannelId,
    /// Whether the two ever spoke of such a channel.
    pub known: bool,
    /// An error, which fails the channel.
    pub is_error: bool,
    /// Whose message the node was working on.
    pub because_of: Option<usize>,
}

/// A node called a channel resolved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resolved {
    /// When.
    pub now: Moment,
    /// Which channel.
    pub course: usize,
    /// The end that did.
    pub end: usize,
    /// How deep the spend of the funding was; nothing when it was in no block.
    pub depth: Option<u32>,
    /// What of it was the end's and not at rest: value and what it is.
    pub open: Vec<(Sat, String)>,
}

/// The run, read again.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    /// Every channel that was funded, in order.
    pub courses: Vec<Course>,
    /// The chain as it stood at the end.
    pub beach: Beach,
    /// When each party first knew each preimage from others.
    pub learned: BTreeMap<(usize, PaymentHash), (Moment, Preimage)>,
    /// Every transaction handed to the chain.
    pub handed: Vec<Handed>,
    /// Every HTLC refused on the wire.
    pub failbacks: Vec<Failback>,
    /// Every HTLC answered too late.
    pub late: Vec<Late>,
    /// Every signature.
    pub signed: Vec<Signed>,
    /// Every HTLC without an output.
    pub dust: Vec<Dust>,
    /// Every secret given up too early.
    pub unsaved: Vec<Unsaved>,
    /// Every complaint.
    pub scoldings: Vec<Scolding>,
    /// Every channel called resolved.
    pub resolved: Vec<Resolved>,
    /// Names of transactions, for people.
    pub labels: BTreeMap<Txid, String>,
}

impl Replay {
    /// Reads a run.
    pub fn read(transcript: &Transcript, names: &Names) -> Self {
        let mut walk = walk::Walk::new(names);
        transcript.happened().for_each(|happened| walk.step(happened));
        walk.finish()
    }

    /// An HTLC.
    pub fn htlc(&self, (course, place): HtlcRef) -> &Htlc {
        &self.courses[course].htlcs[place]
    }

    /// A transaction for people.
    pub fn label(&self, txid: &Txid) -> String {
        self.labels.get(txid).cloned().unwrap_or_else(|| format!("tx {:.8}", txid.to_string()))
    }

    /// Whether a signature is of the commitment that the messages before it describe: the proof that this reading is right.
    pub fn fits(&self, signed: &Signed) -> bool {
        let course = &self.courses[signed.course];
        let commitment = course.rebuild(1 - signed.signer, signed.number);
        commitment.zip(signed.signature).is_some_and(|(commitment, signature)| {
            commitment.verify(&course.terms, course::side(signed.signer), &signature)
        })
    }

    /// An HTLC for people: `HTLC 3 of alice-bob (100000 msat, payment 1234abcd)`.
    pub fn title(&self, place: HtlcRef) -> String {
        let (course, htlc) = (&self.courses[place.0], self.htlc(place));
        let hash = htlc.hash.to_string();
        format!("HTLC {} of {} ({}, payment {hash:.8})", htlc.key.1, course.name, htlc.amount)
    }

    /// Where the channel's end on the chain is: the commitment's txid, what it is, and its height; the closing transaction
    /// has no landing.
    pub fn landed(&self, course: usize) -> Option<(Txid, Option<&Landing>, u32)> {
        let course = &self.courses[course];
        let spend = self.beach.spend(&course.funding())?;
        Some((spend.txid, course.landings.get(&spend.txid), spend.height))
    }

    /// The output of an HTLC in a commitment on the chain.
    pub fn output_of(&self, (course, place): HtlcRef, txid: Txid) -> Option<OutPoint> {
        let landing = self.courses[course].landings.get(&txid)?;
        let vout = landing.outputs.iter().position(|(_, output)| *output == Output::Htlc(place))?;
        Some(OutPoint::new(txid, vout as u32))
    }
}
