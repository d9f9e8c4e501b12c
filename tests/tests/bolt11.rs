//! BOLT 11's own examples, valid and invalid, read from the BOLT's text.

use bitcoin::{Address, Network};
use leyden_core::ids::{PaymentHash, PaymentSecret, ShortChannelId};
use leyden_core::payment::invoice::{Bolt11ParseError, Description, Invoice, InvoiceError, RouteHintHop};
use leyden_core::units::{Msat, Timestamp};

const EXAMPLES: &str = include_str!("../data/bolt11/examples.md");
const PAYEE: &str = "03e7156ae33b0a208d0744199163177e909e80176e55d97a2f221ede0f934dd9ad";
const HIGH_S_PAYEE: &str = "02d0139ce7427d6dfffd26a326c18be754ef1e64672b42694ba5b23ef6e6e7803d";
const LIST: &str = "One piece of chocolate cake, one icecream cone, one pickle, one slice of swiss cheese, \
    one slice of salami, one lollypop, one piece of cherry pie, one sausage, one cupcake, and one slice of watermelon";
const STORE: &str =
    "Blockstream Store: 88.85 USD for Blockstream Ledger Nano S x 1, \"Back In My Day\" Sticker x 2, \
    \"I Got Lightning Working\" Sticker x 2 and 1 more items";

/// The position, among the valid examples, of the one whose fixed-length fields have other lengths. The BOLT's text
/// now says that a reader MUST fail the payment then; the example is older than that rule.
const WRONG_LENGTHS: usize = 13;

#[test]
fn every_field_of_every_valid_example_is_as_the_bolt_explains_it() {
    let texts = examples(valid());
    let expected = expectations();
    assert_eq!(texts.len(), expected.len() + 1);
    let readable =
        texts.iter().enumerate().filter(|(index, _)| *index != WRONG_LENGTHS).map(|(_, text)| text);
    for (text, expected) in readable.zip(expected) {
        let invoice = Invoice::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(Fields::of(&invoice), expected, "{text}");
    }
}

#[test]
fn fixed_length_fields_of_another_length_fail_the_payment() {
    let text = examples(valid())[WRONG_LENGTHS];
    assert_eq!(Invoice::parse(text), Err(InvoiceError::WrongLength { field: 'p', length: 51 }));
}

#[test]
fn every_invalid_example_is_refused_for_its_own_reason() {
    let refused = examples(invalid()).into_iter().map(|text| Invoice::parse(text).unwrap_err());
    let reasons: Vec<String> = refused.map(|error| reason(&error)).collect();
    let expected = [
        "the unknown feature 100 is required",
        "Checksum(InvalidResidue)",
        "Parse(Char(MissingSeparator))",
        "Parse(Char(MixedCase))",
        "the signature is not valid",
        "not an invoice: data part too short (should be at least 111 bech32 chars long)",
        "not an invoice: unknown SI prefix",
        "the amount is not a whole number of millisatoshis",
        "field s is missing",
        "the signature is not valid",
    ];
    assert_eq!(reasons, expected);
}

/// What the error says; of bech32 only its details tell one case from another.
fn reason(error: &InvoiceError) -> String {
    match error {
        InvoiceError::Parse { problem: Bolt11ParseError::Bech32Error(problem) } => format!("{problem:?}"),
        other => other.to_string(),
    }
}

#[test]
fn an_example_expires_a_minute_after_it_was_written_and_is_for_its_own_chain() {
    let coffee = Invoice::parse(examples(valid())[1]).unwrap();
    let at = Timestamp::new((1_496_314_658 + 60) * 1_000_000);
    assert_eq!(coffee.check_payable(Network::Bitcoin, at), Ok(()));
    let later = at.saturating_add(Timestamp::new(1));
    assert_eq!(coffee.check_payable(Network::Bitcoin, later), Err(InvoiceError::Expired { at }));
    let wrong = InvoiceError::WrongNetwork { invoice: Network::Bitcoin, node: Network::Regtest };
    assert_eq!(coffee.check_payable(Network::Regtest, at), Err(wrong));
}

/// An invoice's fields in the words of the BOLT's breakdown.
#[derive(Clone, PartialEq, Debug)]
struct Fields {
    network: Network,
    amount: Option<Msat>,
    seconds: u64,
    expiry_seconds: u64,
    payee: String,
    payment_hash: PaymentHash,
    payment_secret: PaymentSecret,
    payment_metadata: Option<Vec<u8>>,
    description: Description,
    min_final_cltv_expiry_delta: u32,
    features: Vec<usize>,
    fallbacks: Vec<String>,
    route_hints: Vec<Vec<RouteHintHop>>,
}

impl Fields {
    fn of(invoice: &Invoice) -> Self {
        let address = |script| Address::from_script(script, invoice.network).unwrap().to_string();
        Self {
            network: invoice.network,
            amount: invoice.amount,
            seconds: invoice.timestamp.get() / 1_000_000,
            expiry_seconds: invoice.expiry_seconds,
            payee: invoice.payee.to_string(),
            payment_hash: invoice.payment_hash,
            payment_secret: invoice.payment_secret,
            payment_metadata: invoice.payment_metadata.clone(),
            description: invoice.description.clone(),
            min_final_cltv_expiry_delta: invoice.min_final_cltv_expiry_delta,
            features: invoice.features.bits().collect(),
            fallbacks: invoice.fallbacks.iter().map(|script| address(script)).collect(),
            route_hints: invoice.route_hints.clone(),
        }
    }

    /// What most examples share.
    fn usual() -> Self {
        Self {
            network: Network::Bitcoin,
            amount: None,
            seconds: 1_496_314_658,
            expiry_seconds: 3600,
            payee: PAYEE.to_owned(),
            payment_hash: PaymentHash(array(
                "0001020304050607080900010203040506070809000102030405060708090102",
            )),
            payment_secret: PaymentSecret([0x11; 32]),
            payment_metadata: None,
            description: Description::Text("Please consider supporting this project".to_owned()),
            min_final_cltv_expiry_delta: 18,
            features: vec![8, 14],
            fallbacks: vec![],
            route_hints: vec![],
        }
    }

    fn amount_sat(self, sat: u64) -> Self {
        Self { amount: Some(Msat::new(sat * 1000)), ..self }
    }

    fn says(self, text: &str) -> Self {
        Self { description: Description::Text(text.to_owned()), ..self }
    }

    fn list(fallback: &str) -> Self {
        use bitcoin::hashes::{sha256, Hash};
        let description = Description::Hash(sha256::Hash::hash(LIST.as_bytes()).to_byte_array());
        let fallbacks = Some(fallback).filter(|address| !address.is_empty()).map(str::to_owned);
        Self { description, fallbacks: fallbacks.into_iter().collect(), ..Self::usual() }
            .amount_sat(2_000_000)
    }
}

fn expectations() -> Vec<Fields> {
    let minute = Fields { expiry_seconds: 60, ..Fields::usual() }.amount_sat(250_000);
    let beans =
        Fields { features: vec![8, 14, 99], ..Fields::usual() }.amount_sat(2_500_000).says("coffee beans");
    vec![
        Fields::usual(),
        minute.clone().says("1 cup coffee"),
        minute.says("ナンセンス 1杯"),
        Fields::list(""),
        Fields { network: Network::Testnet, ..Fields::list("mk2QpYatsKicvFVuTAQLBryyccRXMUaGHP") },
        Fields { route_hints: vec![rusty()], ..Fields::list("1RustyRX2oai4EYYDpQGWvEL62BBGqN9T") },
        Fields::list("3EktnHQD7RiAE6uzMj2ZifT9YgRrkSgzQX"),
        Fields::list("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"),
        Fields::list("bc1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qccfmv3"),
        Fields::list("bc1pptdvg0d2nj99568qn6ssdy4cygnwuxgw2ukmnwgwz7jpqjz2kszse2s3lm"),
        store(),
        beans.clone(),
        beans,
        Fields {
            payment_metadata: Some(vec![0x01, 0xfa, 0xfa, 0xf0]),
            features: vec![8, 14, 48],
            ..Fields::usual().amount_sat(1_000_000).says("payment metadata inside")
        },
        // The first example's signature with s negated and the recovery id kept: another key's.
        Fields { payee: HIGH_S_PAYEE.to_owned(), ..Fields::usual() },
    ]
}

fn store() -> Fields {
    Fields {
        amount: Some(Msat::new(967_878_534)),
        seconds: 1_572_468_703,
        expiry_seconds: 604_800,
        payment_hash: PaymentHash(array("462264ede7e14047e9b249da94fefc47f41f7d02ee9b091815a5506bc8abf75f")),
        min_final_cltv_expiry_delta: 10,
        route_hints: vec![vec![hint(
            "03d06758583bb5154774a6eb221b1276c9e82d65bbaceca806d90e20c108f4b1c7",
            (589_390, 3312, 1),
            (1000, 2500, 40),
        )]],
        ..Fields::usual().says(STORE)
    }
}

fn rusty() -> Vec<RouteHintHop> {
    vec![
        hint(
            "029e03a901b85534ff1e92c43c74431f7ce72046060fcf7a95c37e148f78c77255",
            (66_051, 263_430, 1800),
            (1, 20, 3),
        ),
        hint(
            "039e03a901b85534ff1e92c43c74431f7ce72046060fcf7a95c37e148f78c77255",
            (197_637, 395_016, 2314),
            (2, 30, 4),
        ),
    ]
}

fn hint(pubkey: &str, channel: (u32, u32, u32), (base, millionths, delta): (u32, u32, u16)) -> RouteHintHop {
    RouteHintHop {
        pubkey: pubkey.parse().unwrap(),
        short_channel_id: ShortChannelId::new(channel.0, channel.1, channel.2).unwrap(),
        fee_base_msat: base,
        fee_proportional_millionths: millionths,
        cltv_expiry_delta: delta,
    }
}

fn array(hex: &str) -> [u8; 32] {
    bitcoin::hex::FromHex::from_hex(hex).unwrap()
}

fn valid() -> &'static str {
    EXAMPLES.split_once("# Examples of Invalid Invoices").unwrap().0
}

fn invalid() -> &'static str {
    EXAMPLES.split_once("# Examples of Invalid Invoices").unwrap().1
}

/// The invoices of a section: the line after each quoted heading.
fn examples(section: &str) -> Vec<&str> {
    let mut lines = section.lines();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        if line.starts_with("> #") {
            // One example has its quotation mark on a line of its own.
            let text =
                lines.by_ref().map(|line| line.trim_start_matches('>').trim()).find(|line| !line.is_empty());
            found.extend(text);
        }
    }
    found
}
