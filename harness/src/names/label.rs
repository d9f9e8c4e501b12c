//! The seed's names: from an output and the witness that spends it to the name of the spending transaction. Pure tables.
use super::{End, State};
use bitcoin::Witness;

/// What an output of a commitment or of an HTLC transaction is (BOLT 3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// The holder's own balance, after a delay.
    ToLocal,
    /// The counterparty's balance.
    ToRemote,
    /// The anchor of one end.
    Anchor(End),
    /// An HTLC's output: its place among those of its commitment, if there are several.
    Htlc(Option<u32>),
    /// The output of an HTLC-timeout transaction.
    Timeout(Option<u32>),
    /// The output of an HTLC-success transaction.
    Success(Option<u32>),
}

/// How an output was spent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spend {
    stage: Stage,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// The owner, after the delay (or at once, for `to_remote` and anchors).
    Owner,
    /// The other side, with the revocation key.
    Penalty,
    /// The HTLC-timeout transaction.
    HtlcTimeout,
    /// The HTLC-success transaction.
    HtlcSuccess,
    /// The counterparty, with R.
    DirectWithPreimage,
    /// The counterparty, after the expiry.
    DirectAfterExpiry,
    /// Whoever comes: an anchor after 16 blocks.
    Anyone,
}

impl Stage {
    /// Its name in BOLT 3.
    pub fn bolt_name(self) -> &'static str {
        match self {
            Stage::ToLocal => "to_local output",
            Stage::ToRemote => "to_remote output",
            Stage::Anchor(_) => "anchor",
            Stage::Htlc(_) => "HTLC output",
            Stage::Timeout(_) => "HTLC-timeout output",
            Stage::Success(_) => "HTLC-success output",
        }
    }

    /// The end it belongs to if nothing more happens; an HTLC's is not settled yet.
    pub fn owner(self, holder: End) -> Option<End> {
        match self {
            Stage::ToLocal | Stage::Timeout(_) | Stage::Success(_) => Some(holder),
            Stage::ToRemote => Some(holder.other()),
            Stage::Anchor(end) => Some(end),
            Stage::Htlc(_) => None,
        }
    }

    /// The seed's name of the transaction that it is an output of.
    pub fn home(self, state: State) -> String {
        match self {
            Stage::Timeout(place) => seed_name("HT", state, place),
            Stage::Success(place) => seed_name("HE", state, place),
            _ => seed_name("C", state, None),
        }
    }

    /// Which of its ways this witness takes.
    pub(super) fn spent_by(self, witness: &Witness) -> Option<Spend> {
        let items: Vec<&[u8]> = witness.iter().collect();
        let lengths: Vec<usize> = items.iter().map(|item| item.len()).collect();
        let kind = match (self, lengths.as_slice()) {
            (Stage::Anchor(_), [0, _]) => Kind::Anyone,
            (Stage::ToRemote | Stage::Anchor(_), _) => Kind::Owner,
            (Stage::ToLocal | Stage::Timeout(_) | Stage::Success(_), [_, selector, _]) => match selector {
                0 => Kind::Owner,
                _ => Kind::Penalty,
            },
            (Stage::Htlc(_), [0, _, _, 0, _]) => Kind::HtlcTimeout,
            (Stage::Htlc(_), [0, _, _, 32, _]) => Kind::HtlcSuccess,
            (Stage::Htlc(_), [_, 0, _]) => Kind::DirectAfterExpiry,
            (Stage::Htlc(_), [_, 32, _]) => Kind::DirectWithPreimage,
            (Stage::Htlc(_), [_, 33, _]) => Kind::Penalty,
            _ => return None,
        };
        Some(Spend { stage: self, kind })
    }
}

impl Spend {
    /// The end that made the spending transaction.
    pub(super) fn claimant(&self, holder: End) -> End {
        match (self.stage, self.kind) {
            (Stage::Anchor(end), _) => end,
            (Stage::ToRemote, _) => holder.other(),
            (_, Kind::Anyone | Kind::Owner | Kind::HtlcTimeout | Kind::HtlcSuccess) => holder,
            (_, Kind::Penalty | Kind::DirectWithPreimage | Kind::DirectAfterExpiry) => holder.other(),
        }
    }

    /// Whether anyone could have made the spending transaction.
    pub(super) fn needs_no_key(&self) -> bool {
        self.kind == Kind::Anyone
    }

    /// What the spending transaction's output is, if it is an HTLC transaction.
    pub(super) fn second_stage(&self) -> Option<Stage> {
        match (self.stage, self.kind) {
            (Stage::Htlc(place), Kind::HtlcTimeout) => Some(Stage::Timeout(place)),
            (Stage::Htlc(place), Kind::HtlcSuccess) => Some(Stage::Success(place)),
            _ => None,
        }
    }

    /// The seed's prefix, the HTLC's place, and the BOLT's name.
    fn name(&self) -> (&'static str, Option<u32>, &'static str) {
        match (self.stage, self.kind) {
            (Stage::ToLocal, Kind::Penalty) => ("BR", None, "penalty on to_local"),
            (Stage::ToLocal, _) => ("RD", None, "sweep of to_local"),
            (Stage::ToRemote, _) => ("D", None, "sweep of to_remote"),
            (Stage::Anchor(_), _) => ("anchor", None, "spend of an anchor"),
            (Stage::Timeout(place), Kind::Penalty) => ("HTBR", place, "penalty on HTLC-timeout"),
            (Stage::Timeout(place), _) => ("HTRD", place, "sweep of HTLC-timeout"),
            (Stage::Success(place), Kind::Penalty) => ("HEBR", place, "penalty on HTLC-success"),
            (Stage::Success(place), _) => ("HERD", place, "sweep of HTLC-success"),
            (Stage::Htlc(place), Kind::HtlcTimeout) => ("HT", place, "HTLC-timeout transaction"),
            (Stage::Htlc(place), Kind::HtlcSuccess) => ("HE", place, "HTLC-success transaction"),
            (Stage::Htlc(place), Kind::DirectWithPreimage) => {
                ("HED", place, "claim of an HTLC with the preimage")
            }
            (Stage::Htlc(place), Kind::DirectAfterExpiry) => {
                ("HTD", place, "claim of an HTLC after its expiry")
            }
            (Stage::Htlc(place), _) => ("HBR", place, "penalty on an HTLC"),
        }
    }
}

/// A transaction's names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Label {
    /// Which channel.
    pub channel: usize,
    /// The seed's name.
    pub seed: String,
    /// The BOLT's name.
    pub bolt: &'static str,
    /// The party that can broadcast it.
    pub by: usize,
    /// Whether the opener pays its fee whoever broadcasts it (commitment and closing transactions).
    pub opener_pays: bool,
}

impl Label {
    pub(super) fn funding(channel: usize, by: usize) -> Self {
        Self { channel, seed: "F".into(), bolt: "funding transaction", by, opener_pays: true }
    }

    pub(super) fn closing(channel: usize, by: usize) -> Self {
        Self { channel, seed: "X".into(), bolt: "closing transaction", by, opener_pays: true }
    }

    pub(super) fn commitment(channel: usize, by: usize, state: State) -> Self {
        let seed = seed_name("C", state, None);
        Self { channel, seed, bolt: "commitment transaction", by, opener_pays: true }
    }

    pub(super) fn claim(channel: usize, by: usize, state: State, spend: &Spend) -> Self {
        let (prefix, place, bolt) = spend.name();
        Self { channel, seed: seed_name(prefix, state, place), bolt, by, opener_pays: false }
    }

    /// One transaction may claim several outputs: the first gives its channel and owner, all give it their names. In the order of
    /// the names: that of the inputs follows from keys.
    pub(super) fn joined(mut labels: Vec<Label>) -> Option<Label> {
        labels.sort_by(|one, other| one.seed.cmp(&other.seed));
        let mut labels = labels.into_iter();
        let mut first = labels.next()?;
        for label in labels {
            first.seed = format!("{}+{}", first.seed, label.seed);
        }
        Some(first)
    }
}

/// `C1a`, `HT3a.0`.
fn seed_name(prefix: &str, state: State, place: Option<u32>) -> String {
    let place = place.map_or_else(String::new, |place| format!(".{place}"));
    format!("{prefix}{}{}{place}", state.number, state.holder.letter())
}

#[cfg(test)]
mod tests {
    use super::*;

    const C3A: State = State { number: 3, holder: End::Opener };

    /// The name of the transaction that spends `stage` on C3a with witness items of these lengths, and who made it.
    fn spend(stage: Stage, lengths: &[usize]) -> (String, End) {
        let items: Vec<Vec<u8>> = lengths.iter().map(|length| vec![1; *length]).collect();
        let spend = stage.spent_by(&Witness::from_slice(&items)).unwrap();
        (Label::claim(0, 0, C3A, &spend).seed, spend.claimant(C3A.holder))
    }

    #[test]
    fn each_way_to_spend_has_the_seeds_name() {
        use End::{Acceptor, Opener};
        let htlc = Stage::Htlc(Some(1));
        let table = [
            (Stage::ToLocal, vec![71, 0, 77], "RD3a", Opener),
            (Stage::ToLocal, vec![71, 1, 77], "BR3a", Acceptor),
            (Stage::ToRemote, vec![71, 33], "D3a", Acceptor),
            (htlc, vec![0, 71, 71, 0, 133], "HT3a.1", Opener),
            (htlc, vec![0, 71, 71, 32, 139], "HE3a.1", Opener),
            (htlc, vec![71, 32, 133], "HED3a.1", Acceptor),
            (htlc, vec![71, 0, 139], "HTD3a.1", Acceptor),
            (htlc, vec![71, 33, 139], "HBR3a.1", Acceptor),
            (Stage::Timeout(None), vec![71, 0, 77], "HTRD3a", Opener),
            (Stage::Timeout(None), vec![71, 1, 77], "HTBR3a", Acceptor),
            (Stage::Success(None), vec![71, 0, 77], "HERD3a", Opener),
            (Stage::Success(None), vec![71, 1, 77], "HEBR3a", Acceptor),
        ];
        for (stage, lengths, name, by) in table {
            assert_eq!(spend(stage, &lengths), (name.to_string(), by));
        }
    }
}
