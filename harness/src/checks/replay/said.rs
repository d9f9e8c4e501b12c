//! What the messages of an open channel mean for its books: once when they are sent, in the view of the sender, and once when
//! they arrive, in the view of the recipient.
use super::course::{Course, How, Htlc, Removal};
use super::view::Change;
use super::walk::Walk;
use super::{Downstream, Dust, Failback, HtlcRef, Moment, Released, Signed, Unsaved};
use leyden_core::ids::PaymentHash;
use leyden_core::tx::commitment_cost;
use leyden_core::units::{FeeratePerKw, Msat};
use leyden_core::wire::{CommitmentSigned, Message, RevokeAndAck, UpdateAddHtlc};
use secp256k1::ecdsa::Signature;

/// Who says it, in whose view, and where.
#[derive(Clone, Copy)]
struct Scene {
    course: usize,
    /// The end that says it.
    sender: usize,
    /// The end whose view changes.
    viewer: usize,
    now: Moment,
}

impl Scene {
    fn is_sent(&self) -> bool {
        self.viewer == self.sender
    }
}

impl Walk<'_> {
    /// A message of a channel, when it is sent or when it arrives.
    pub(super) fn said(&mut self, from: usize, to: usize, message: &Message, is_sent: bool) {
        let channel = match message {
            Message::ChannelReady(message) => message.channel_id,
            Message::UpdateAddHtlc(message) => message.channel_id,
            Message::UpdateFulfillHtlc(message) => message.channel_id,
            Message::UpdateFailHtlc(message) => message.channel_id,
            Message::UpdateFailMalformedHtlc(message) => message.channel_id,
            Message::CommitmentSigned(message) => message.channel_id,
            Message::RevokeAndAck(message) => message.channel_id,
            Message::UpdateFee(message) => message.channel_id,
            Message::ChannelReestablish(message) => message.channel_id,
            _ => return,
        };
        let Some(course) = self.course_between(from, to, &channel) else {
            self.named.insert((from, to, channel));
            return;
        };
        let sender = usize::from(self.replay.courses[course].ends[1] == from);
        let viewer = if is_sent { sender } else { 1 - sender };
        let scene = Scene { course, sender, viewer, now: self.now() };
        match message {
            Message::ChannelReady(message) if is_sent => {
                let points = &mut self.replay.courses[course].points[sender];
                if points.len() == 1 {
                    points.push(message.second_per_commitment_point);
                }
            }
            Message::UpdateAddHtlc(add) => self.offered(scene, add),
            Message::UpdateFulfillHtlc(message) => {
                self.removed(scene, message.id, How::Fulfilled(message.payment_preimage));
            }
            Message::UpdateFailHtlc(message) => self.removed(scene, message.id, How::Failed),
            Message::UpdateFailMalformedHtlc(message) => self.removed(scene, message.id, How::Failed),
            Message::CommitmentSigned(message) => self.signed(scene, message),
            Message::RevokeAndAck(message) => self.revoked(scene, message),
            Message::UpdateFee(message) => {
                self.replay.courses[course].views[viewer].fee(message.feerate_per_kw);
            }
            // What was not signed is said again or never was (BOLT 2, "Message Retransmission").
            Message::ChannelReestablish(_) if is_sent => self.forget(course, from),
            _ => {}
        }
    }

    /// A party's link broke: in its view nothing unsigned was ever said.
    pub(super) fn forget(&mut self, course: usize, party: usize) {
        let course = &mut self.replay.courses[course];
        let Some(end) = course.end_of(party) else { return };
        for key in course.views[end].forget() {
            if key.0 == end {
                if let Some(htlc) = course.htlc_mut(key) {
                    htlc.forgotten = true;
                }
            }
        }
    }

    fn offered(&mut self, scene: Scene, add: &UpdateAddHtlc) {
        let course = &mut self.replay.courses[scene.course];
        if course.views[scene.viewer].add(scene.sender, add.id) != Change::Proposed || !scene.is_sent() {
            return;
        }
        let party = course.ends[scene.sender];
        let receiver = course.ends[1 - scene.sender];
        let place = course.offer(Htlc {
            key: (scene.sender, add.id),
            amount: add.amount_msat,
            hash: add.payment_hash,
            expiry: add.cltv_expiry,
            offered: scene.now,
            committed: [None; 2],
            from: [None; 2],
            until: [None; 2],
            removal: None,
            forgotten: false,
            onward: None,
            back: None,
        });
        let out = (scene.course, place);
        self.incoming.entry((receiver, add.payment_hash)).or_default().push(out);
        self.pair(party, add.payment_hash, out);
        self.note_dust(scene, place);
    }

    /// Finds what an HTLC is forwarded from: of the offers of this hash that its offerer holds, that cover it, and that it
    /// neither answered nor passed on, the oldest.
    fn pair(&mut self, party: usize, hash: PaymentHash, out: HtlcRef) {
        let (amount, expiry) = (self.replay.htlc(out).amount, self.replay.htlc(out).expiry);
        let offers = self.incoming.get(&(party, hash)).into_iter().flatten();
        let covers = |place: &&HtlcRef| {
            let htlc = self.replay.htlc(**place);
            let free = htlc.onward.is_none_or(|onward| self.replay.htlc(onward).forgotten);
            let held = htlc.committed[htlc.receiver()].is_some() && htlc.removal.is_none();
            free && held && htlc.amount >= amount && htlc.expiry > expiry
        };
        let Some(back) = offers.into_iter().find(covers).copied() else { return };
        self.replay.courses[back.0].htlcs[back.1].onward = Some(out);
        self.replay.courses[out.0].htlcs[out.1].back = Some(back);
    }

    fn note_dust(&mut self, scene: Scene, place: usize) {
        let course = &self.replay.courses[scene.course];
        let holder = 1 - scene.sender;
        let feerate = course.feerates[holder].last().map_or(FeeratePerKw::ZERO, |(_, feerate)| *feerate);
        let trimmed = |place: &usize| course.is_trimmed(holder, &course.htlcs[*place], feerate);
        if !trimmed(&place) {
            return;
        }
        let open = course.views[scene.viewer].untouched().filter_map(|key| course.place(key));
        let exposure = open
            .filter(trimmed)
            .fold(Msat::ZERO, |sum, place| sum.saturating_add(course.htlcs[place].amount));
        self.replay.dust.push(Dust { htlc: (scene.course, place), exposure });
    }

    fn removed(&mut self, scene: Scene, id: u64, how: How) {
        let course = &mut self.replay.courses[scene.course];
        let key = (1 - scene.sender, id);
        let change = course.views[scene.viewer].remove(scene.sender, id, how);
        let Some(place) = course.place(key) else { return };
        let hash = course.htlcs[place].hash;
        if scene.is_sent() {
            if change == Change::Proposed {
                let removal = Removal { how, sent: scene.now, settled: [None; 2] };
                // Said again after a broken link, it was first said before.
                let before = course.htlcs[place].removal.filter(|before| before.how == how);
                course.htlcs[place].removal = Some(before.unwrap_or(removal));
                if how == How::Failed {
                    self.failed_back(scene.now, (scene.course, place));
                }
            }
        } else if let How::Fulfilled(preimage) = how {
            let party = course.ends[scene.viewer];
            if preimage.payment_hash() == hash {
                self.replay.learned.entry((party, hash)).or_insert((scene.now, preimage));
            }
        }
    }

    fn failed_back(&mut self, now: Moment, incoming: HtlcRef) {
        let onward = self.replay.htlc(incoming).onward;
        let downstream = onward.map_or(Downstream::Never, |onward| self.downstream(onward));
        self.replay.failbacks.push(Failback { now, incoming, downstream });
    }

    /// How an HTLC that went out stands now, for the end that offered it.
    fn downstream(&self, out: HtlcRef) -> Downstream {
        let htlc = self.replay.htlc(out);
        if htlc.forgotten {
            return Downstream::Never;
        }
        if htlc.removal.is_some_and(|removal| removal.settled[htlc.key.0].is_some()) {
            return Downstream::Removed;
        }
        let beach = &self.replay.beach;
        let Some((txid, _, height)) = self.replay.landed(out.0) else { return Downstream::Open };
        match self.replay.output_of(out, txid) {
            None => Downstream::Missing { depth: beach.depth(height) },
            Some(output) => beach
                .spend(&output)
                .map_or(Downstream::Open, |spend| Downstream::Spent { depth: beach.depth(spend.height) }),
        }
    }

    fn signed(&mut self, scene: Scene, message: &CommitmentSigned) {
        let course = &mut self.replay.courses[scene.course];
        let change = course.views[scene.viewer].sign(scene.sender);
        let Change::Signed { number, added, .. } = &change else { return };
        if !scene.is_sent() {
            course.signed_at[scene.viewer] = Some(scene.now);
            return;
        }
        course.note_signed(scene.sender, &change);
        let mut signed = look_at(course, scene, *number);
        for key in added {
            signed.new_from[key.0] = true;
        }
        let signatures = std::iter::once(&message.signature).chain(&message.htlc_signatures);
        signed.signature = Some(message.signature);
        signed.low_s = signatures.into_iter().all(has_low_s);
        self.replay.signed.push(signed);
    }

    fn revoked(&mut self, scene: Scene, message: &RevokeAndAck) {
        let course = &mut self.replay.courses[scene.course];
        let change = course.views[scene.viewer].revoke(scene.sender, message.per_commitment_secret);
        let Change::Revoked { number, .. } = change else { return };
        course.note_irrevocable(scene.viewer, &change, scene.now);
        if !scene.is_sent() {
            let released = usize::try_from(number).ok();
            let released = released.and_then(|number| course.released[scene.sender].get_mut(number));
            if let Some(released) = released {
                released.arrived.get_or_insert(scene.now);
            }
            return;
        }
        course.released[scene.sender].push(Released { sent: scene.now, arrived: None });
        let points = &mut course.points[scene.sender];
        if points.len() as u64 == number + 2 {
            points.push(message.next_per_commitment_point);
        }
        let party = course.ends[scene.sender];
        let saved = self.saved.get(&(party, course.id)).copied();
        let needed = course.signed_at[scene.sender].map(|signed| signed.place);
        if saved < needed {
            let unsaved = Unsaved { course: scene.course, end: scene.sender, number };
            self.replay.unsaved.push(unsaved);
        }
    }
}

/// What the newest commitment of the end that does not sign says, in the signer's view.
fn look_at(course: &Course, scene: Scene, number: u64) -> Signed {
    let holder = 1 - scene.sender;
    let feerate = course.feerate(holder, number);
    let (mut offered, mut untrimmed) = ([0; 2], 0);
    let held = course.views[scene.viewer].pending().filter_map(|key| course.place(key));
    for htlc in held.map(|place| &course.htlcs[place]).filter(|htlc| htlc.is_in(holder, number)) {
        offered[htlc.key.0] += 1;
        untrimmed += usize::from(!course.is_trimmed(holder, htlc, feerate));
    }
    Signed {
        now: scene.now,
        course: scene.course,
        signer: scene.sender,
        number,
        balances: course.newest_balances(holder),
        offered,
        untrimmed,
        new_from: [false; 2],
        cost: commitment_cost(course.terms.channel_type, feerate, untrimmed),
        low_s: true,
        signature: None,
    }
}

/// A signature with a high S is not relayed (BIP 146).
fn has_low_s(signature: &Signature) -> bool {
    let mut normal = *signature;
    normal.normalize_s();
    normal == *signature
}
