//! The table of `stage` walked through, and what the signer refuses.
use super::signer::{Promises, Signer};
use super::stage::{Event, Stage, View};
use crate::keys::NodeSeed;
use crate::tx::*;
use crate::units::{CommitmentNumber, FeeratePerKw, Msat, Sat};
use bitcoin::hashes::Hash;

const SIDES: [Side; 2] = [Side::Local, Side::Remote];

#[test]
fn an_update_climbs_the_ladder_by_these_events_and_no_others() {
    for sender in SIDES {
        let receiver = sender.other();
        let ladder = [
            (Stage::Proposed, Event::Commit { by: sender }),
            (Stage::Signed, Event::Revoke { by: receiver }),
            (Stage::Acked, Event::Commit { by: receiver }),
            (Stage::Countersigned, Event::Revoke { by: sender }),
        ];
        let after = [Stage::Signed, Stage::Acked, Stage::Countersigned, Stage::Irrevocable];
        for ((stage, due), next) in ladder.into_iter().zip(after) {
            for event in events() {
                let expected = if event == due { next } else { stage };
                assert_eq!(stage.after(sender, event), expected);
            }
        }
        assert!(events()
            .into_iter()
            .all(|event| Stage::Irrevocable.after(sender, event) == Stage::Irrevocable));
    }
}

#[test]
fn each_stage_says_whose_commitments_hold_the_update() {
    let held = |stage: Stage, holder, view| stage.is_in(Side::Local, holder, view);
    assert!(!held(Stage::Proposed, Side::Remote, View::Newest));
    assert!(held(Stage::Proposed, Side::Remote, View::Next));
    assert!(held(Stage::Signed, Side::Remote, View::Newest));
    assert!(!held(Stage::Signed, Side::Remote, View::Previous));
    assert!(!held(Stage::Signed, Side::Local, View::Next));
    assert!(held(Stage::Acked, Side::Local, View::Next));
    assert!(!held(Stage::Acked, Side::Local, View::Newest));
    assert!(held(Stage::Countersigned, Side::Local, View::Newest));
    assert!(!held(Stage::Countersigned, Side::Local, View::Previous));
    assert!(SIDES.into_iter().all(|holder| held(Stage::Irrevocable, holder, View::Previous)));
}

#[test]
#[should_panic(expected = "is revoked")]
fn the_signer_refuses_a_commitment_of_ours_whose_secret_is_released() {
    let (mut signer, terms) = fixture();
    let commitment = commitment(&signer, &terms, Side::Local, 0, 500);
    signer.sign_own(&terms, &commitment);
    signer.release(CommitmentNumber::ZERO);
    signer.sign_own(&terms, &commitment);
}

#[test]
#[should_panic(expected = "different commitment")]
fn the_signer_refuses_a_second_commitment_of_the_peer_under_one_number() {
    let (mut signer, terms) = fixture();
    let (one, other) = [500, 501].map(|sat| commitment(&signer, &terms, Side::Remote, 0, sat)).into();
    assert_eq!(signer.sign_remote(&terms, &one), signer.sign_remote(&terms, &one), "the same one, again");
    signer.sign_remote(&terms, &other);
}

#[test]
#[should_panic(expected = "is revoked already")]
fn the_signer_refuses_a_commitment_that_the_peer_revoked() {
    let (mut signer, terms) = fixture();
    let [old, new] = [0, 1].map(|number| commitment(&signer, &terms, Side::Remote, number, 500));
    signer.sign_remote(&terms, &old);
    signer.sign_remote(&terms, &new);
    signer.peer_revoked(CommitmentNumber::ZERO);
    signer.sign_remote(&terms, &old);
}

#[test]
#[should_panic(expected = "is due")]
fn the_signer_releases_secrets_in_order() {
    let (mut signer, _) = fixture();
    signer.release(CommitmentNumber::new(1));
}

fn events() -> [Event; 4] {
    let [local, remote] = SIDES;
    [
        Event::Commit { by: local },
        Event::Commit { by: remote },
        Event::Revoke { by: local },
        Event::Revoke { by: remote },
    ]
}

fn fixture() -> (Signer, ChannelTerms) {
    let [ours, theirs] = [1, 2].map(|byte| NodeSeed::new([byte; 32]).channel_keys(0));
    let party = |basepoints| PartyTerms { basepoints, dust_limit: Sat::new(354), to_self_delay: 144 };
    let terms = ChannelTerms {
        channel_type: ChannelType::StaticRemotekey,
        funding: bitcoin::OutPoint { txid: bitcoin::Txid::all_zeros(), vout: 0 },
        funding_amount: Sat::new(1_000_000),
        opener: Side::Local,
        local: party(ours.basepoints()),
        remote: party(theirs.basepoints()),
    };
    (Signer::new(ours, Promises::default()), terms)
}

fn commitment(signer: &Signer, terms: &ChannelTerms, holder: Side, number: u64, sat: u64) -> Commitment {
    let number = CommitmentNumber::new(number);
    let keys = CommitmentKeys::derive(terms, holder, signer.point(number));
    let rest = terms.funding_amount.saturating_sub(Sat::new(sat));
    let spec = CommitmentSpec {
        feerate: FeeratePerKw::new(253),
        to_holder: rest.to_msat(),
        to_counterparty: Msat::new(sat * 1000),
        htlcs: Vec::new(),
    };
    Commitment::build(terms, holder, number, keys, &spec)
}
