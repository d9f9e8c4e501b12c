//! A channel as one of its ends knows it, from the messages that it sent and that reached it: every update goes five steps
//! from proposed to irrevocable (BOLT 2, "Normal Operation"). A second reading of the BOLT, apart from the core's.
use super::course::How;
use leyden_core::units::FeeratePerKw;
use secp256k1::SecretKey;

/// Sent, but in no signature yet.
const PROPOSED: u8 = 1;
/// In a commitment of its receiver, who has not yet given up the one before.
const SIGNED: u8 = 2;
/// In the receiver's commitment for good.
const ACKED: u8 = 3;
/// In a commitment of its sender too.
const RETURNED: u8 = 4;
/// In both for good.
const IRREVOCABLE: u8 = 5;

/// An HTLC's name in its channel: the end that offered it (0 the opener) and its id.
pub type Key = (usize, u64);

/// An HTLC that is not yet gone for good.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Pending {
    key: Key,
    add: u8,
    remove: Option<(u8, How)>,
}

/// What a message did to the view.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// It said again what was known, or what makes no sense here.
    Nothing,
    /// A new update.
    Proposed,
    /// A new commitment with this number, and what is new in it.
    Signed {
        /// Its number, from 0.
        number: u64,
        /// HTLCs that it holds and the one before did not.
        added: Vec<Key>,
        /// HTLCs that it no longer holds.
        removed: Vec<Key>,
        /// Its feerate, if it is another one.
        feerate: Option<FeeratePerKw>,
    },
    /// The commitment with this number is given up.
    Revoked {
        /// Its number, from 0.
        number: u64,
        /// HTLCs that are in both commitments for good now.
        added: Vec<Key>,
        /// HTLCs that are gone for good now.
        removed: Vec<Key>,
    },
}

/// One end's view.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct View {
    pending: Vec<Pending>,
    /// The opener's feerates on their way.
    fees: Vec<(u8, FeeratePerKw)>,
    /// The id that the next HTLC of each end must have.
    next_id: [u64; 2],
    /// The number of the newest commitment of each end.
    newest: [u64; 2],
    /// How many commitments each end gave up.
    revoked: [u64; 2],
    last_secret: [Option<SecretKey>; 2],
    /// An error ended the channel: what comes now counts for nothing.
    pub over: bool,
}

impl View {
    /// `sender` offers an HTLC.
    pub fn add(&mut self, sender: usize, id: u64) -> Change {
        if self.over || id < self.next_id[sender] {
            return Change::Nothing;
        }
        self.next_id[sender] = id + 1;
        self.pending.push(Pending { key: (sender, id), add: PROPOSED, remove: None });
        Change::Proposed
    }

    /// `sender` removes an HTLC that it was offered.
    pub fn remove(&mut self, sender: usize, id: u64, how: How) -> Change {
        let key = (1 - sender, id);
        let found = self.pending.iter_mut().find(|htlc| htlc.key == key);
        match found.filter(|htlc| htlc.add == IRREVOCABLE && htlc.remove.is_none()) {
            Some(htlc) if !self.over => {
                htlc.remove = Some((PROPOSED, how));
                Change::Proposed
            }
            _ => Change::Nothing,
        }
    }

    /// The opener wants another feerate.
    pub fn fee(&mut self, feerate: FeeratePerKw) -> Change {
        let again = self.fees.last().is_some_and(|(step, last)| *step == SIGNED && *last == feerate);
        if self.over || again {
            return Change::Nothing;
        }
        self.fees.retain(|(step, _)| *step != PROPOSED);
        self.fees.push((PROPOSED, feerate));
        Change::Proposed
    }

    /// `signer` signs the other end's next commitment.
    pub fn sign(&mut self, signer: usize) -> Change {
        let holder = 1 - signer;
        if self.over || self.newest[holder] > self.revoked[holder] {
            return Change::Nothing; // sent again: one at a time is open
        }
        self.newest[holder] += 1;
        let (mut added, mut removed) = (Vec::new(), Vec::new());
        let into = |step: &mut u8, sender: usize| {
            let next = match *step {
                PROPOSED if sender == signer => SIGNED,
                ACKED if sender == holder => RETURNED,
                _ => return false,
            };
            *step = next;
            true
        };
        for htlc in &mut self.pending {
            if into(&mut htlc.add, htlc.key.0) {
                added.push(htlc.key);
            }
            if let Some((step, _)) = &mut htlc.remove {
                if into(step, 1 - htlc.key.0) {
                    removed.push(htlc.key);
                }
            }
        }
        let mut feerate = None;
        for (step, new) in &mut self.fees {
            if into(step, 0) {
                feerate = Some(*new);
            }
        }
        Change::Signed { number: self.newest[holder], added, removed, feerate }
    }

    /// `holder` gives up its old commitment.
    pub fn revoke(&mut self, holder: usize, secret: SecretKey) -> Change {
        let again = self.last_secret[holder] == Some(secret);
        if self.over || again || self.revoked[holder] >= self.newest[holder] {
            return Change::Nothing;
        }
        let number = self.revoked[holder];
        self.revoked[holder] += 1;
        self.last_secret[holder] = Some(secret);
        let on = |step: &mut u8, sender: usize| {
            *step = match *step {
                SIGNED if sender != holder => ACKED,
                RETURNED if sender == holder => IRREVOCABLE,
                _ => return false,
            };
            *step == IRREVOCABLE
        };
        let (mut added, mut removed) = (Vec::new(), Vec::new());
        for htlc in &mut self.pending {
            if on(&mut htlc.add, htlc.key.0) {
                added.push(htlc.key);
            }
            if let Some((step, _)) = &mut htlc.remove {
                if on(step, 1 - htlc.key.0) {
                    removed.push(htlc.key);
                }
            }
        }
        self.pending.retain(|htlc| !matches!(htlc.remove, Some((IRREVOCABLE, _))));
        self.fees.retain_mut(|(step, _)| !on(step, 0));
        Change::Revoked { number, added, removed }
    }

    /// The link broke: what no signature covers is as if it had never been said. The HTLCs that are gone with it.
    pub fn forget(&mut self) -> Vec<Key> {
        let mut gone = Vec::new();
        for htlc in self.pending.iter().filter(|htlc| htlc.add == PROPOSED) {
            let (offerer, id) = htlc.key;
            self.next_id[offerer] = self.next_id[offerer].min(id);
            gone.push(htlc.key);
        }
        self.pending.retain(|htlc| htlc.add != PROPOSED);
        self.fees.retain(|(step, _)| *step != PROPOSED);
        for htlc in &mut self.pending {
            if matches!(htlc.remove, Some((PROPOSED, _))) {
                htlc.remove = None;
            }
        }
        gone
    }

    /// HTLCs that `end` was offered, that are in both commitments for good, and that it did not begin to remove.
    pub fn unanswered(&self, end: usize) -> impl Iterator<Item = Key> + '_ {
        let held = self.pending.iter().filter(move |htlc| htlc.key.0 != end && htlc.add == IRREVOCABLE);
        held.filter(|htlc| htlc.remove.is_none()).map(|htlc| htlc.key)
    }

    /// Everything that is not gone for good.
    pub fn pending(&self) -> impl Iterator<Item = Key> + '_ {
        self.pending.iter().map(|htlc| htlc.key)
    }

    /// Everything that nobody began to remove.
    pub fn untouched(&self) -> impl Iterator<Item = Key> + '_ {
        self.pending.iter().filter(|htlc| htlc.remove.is_none()).map(|htlc| htlc.key)
    }

    /// Whether nothing is pending.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(byte: u8) -> SecretKey {
        SecretKey::from_slice(&[byte; 32]).unwrap()
    }

    fn signed(number: u64, added: &[Key], removed: &[Key]) -> Change {
        Change::Signed { number, added: added.to_vec(), removed: removed.to_vec(), feerate: None }
    }

    fn revoked(number: u64, added: &[Key], removed: &[Key]) -> Change {
        Change::Revoked { number, added: added.to_vec(), removed: removed.to_vec() }
    }

    /// The opener's HTLC 0, in both commitments for good.
    fn committed() -> View {
        let mut view = View::default();
        assert_eq!(view.add(0, 0), Change::Proposed);
        assert_eq!(view.sign(0), signed(1, &[(0, 0)], &[]));
        assert_eq!(view.revoke(1, secret(1)), revoked(0, &[], &[]));
        assert_eq!(view.sign(1), signed(1, &[(0, 0)], &[]));
        assert_eq!(view.revoke(0, secret(2)), revoked(0, &[(0, 0)], &[]));
        view
    }

    #[test]
    fn an_htlc_comes_and_goes_in_five_steps() {
        let mut view = committed();
        assert_eq!(view.unanswered(1).collect::<Vec<_>>(), [(0, 0)]);
        assert_eq!(view.remove(1, 0, How::Failed), Change::Proposed);
        assert_eq!(view.sign(1), signed(2, &[], &[(0, 0)]));
        assert_eq!(view.revoke(0, secret(3)), revoked(1, &[], &[]));
        assert_eq!(view.sign(0), signed(2, &[], &[(0, 0)]));
        assert_eq!(view.revoke(1, secret(4)), revoked(1, &[], &[(0, 0)]));
        assert!(view.is_empty());
    }

    #[test]
    fn what_is_sent_again_changes_nothing() {
        let mut view = View::default();
        view.add(0, 0);
        view.sign(0);
        assert_eq!(view.forget(), []);
        assert_eq!(view.add(0, 0), Change::Nothing);
        assert_eq!(view.sign(0), Change::Nothing);
        view.revoke(1, secret(1));
        assert_eq!(view.revoke(1, secret(1)), Change::Nothing);
    }

    #[test]
    fn a_broken_link_undoes_what_nobody_signed() {
        let mut view = committed();
        view.remove(1, 0, How::Failed);
        view.add(0, 1);
        assert_eq!(view.forget(), [(0, 1)]);
        assert_eq!(view.unanswered(1).collect::<Vec<_>>(), [(0, 0)]);
        assert_eq!(view.add(0, 1), Change::Proposed);
    }

    #[test]
    fn signatures_that_cross_cover_only_what_was_acknowledged() {
        let mut view = View::default();
        view.add(0, 0);
        view.add(1, 0);
        assert_eq!(view.sign(0), signed(1, &[(0, 0)], &[]));
        assert_eq!(view.sign(1), signed(1, &[(1, 0)], &[]));
        assert_eq!(view.revoke(0, secret(1)), revoked(0, &[], &[]));
        assert_eq!(view.revoke(1, secret(2)), revoked(0, &[], &[]));
        assert_eq!(view.sign(0), signed(2, &[(1, 0)], &[]));
    }
}
