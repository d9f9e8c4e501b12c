//! Invoices of our own, and wrong ones that the BOLT gives no example of.

use super::*;
use bitcoin::bech32::{self, ByteIterExt, Fe32, Fe32IterExt, Hrp};
use proptest::prelude::*;

fn secret() -> SecretKey {
    SecretKey::from_slice(&[0x42; 32]).unwrap()
}

fn terms() -> InvoiceTerms {
    InvoiceTerms {
        network: Network::Regtest,
        amount: Some(Msat::new(123_456_789)),
        description: "two cups of ナンセンス".to_owned(),
        payment_hash: PaymentHash([1; 32]),
        payment_secret: PaymentSecret([2; 32]),
        min_final_cltv_expiry_delta: 42,
        expiry_seconds: 600,
        timestamp: Timestamp::new(1_700_000_000_999_999),
        route_hints: vec![vec![RouteHintHop {
            pubkey: secret().public_key(SECP256K1),
            short_channel_id: ShortChannelId(0x0102_0304_0506_0708),
            fee_base_msat: 9,
            fee_proportional_millionths: u32::MAX,
            cltv_expiry_delta: 10,
        }]],
    }
}

/// Signs any fields, one string of elements each: tag, then contents.
fn forge(hrp: &str, fields: &[(char, Vec<u8>)]) -> String {
    let mut data = vec![0_u8; 7];
    for (tag, contents) in fields {
        data.push(Fe32::from_char(*tag).unwrap().to_u8());
        data.extend([(contents.len() / 32) as u8, (contents.len() % 32) as u8]);
        data.extend(contents);
    }
    let elements: Vec<Fe32> = data.iter().map(|element| Fe32::try_from(*element).unwrap()).collect();
    let hash = Message::from_digest(hash_of(hrp, &elements));
    let signed = SECP256K1.sign_ecdsa_recoverable(&hash, &secret());
    let (id, compact) = signed.serialize_compact();
    let signature = compact.into_iter().chain([id.to_i32() as u8]).bytes_to_fes();
    let all = elements.into_iter().chain(signature);
    all.with_checksum::<bech32::Bech32>(&Hrp::parse(hrp).unwrap()).chars().collect()
}

fn hash_of(hrp: &str, elements: &[Fe32]) -> [u8; 32] {
    let mut bytes = hrp.as_bytes().to_vec();
    let padding = std::iter::repeat_n(Fe32::Q, 8);
    let data = elements.iter().copied().chain(padding).fes_to_bytes();
    bytes.extend(data.take((elements.len() * 5).div_ceil(8)));
    bitcoin::hashes::Hash::to_byte_array(<bitcoin::hashes::sha256::Hash as bitcoin::hashes::Hash>::hash(
        &bytes,
    ))
}

fn good() -> Vec<(char, Vec<u8>)> {
    vec![('p', vec![1; 52]), ('s', vec![1; 52]), ('d', vec![])]
}

fn with(extra: &[(char, Vec<u8>)]) -> Result<Invoice, InvoiceError> {
    let fields: Vec<_> = good().into_iter().chain(extra.iter().cloned()).collect();
    Invoice::parse(&forge("lnbcrt", &fields))
}

fn without(tag: char) -> Result<Invoice, InvoiceError> {
    let fields: Vec<_> = good().into_iter().filter(|(field, _)| *field != tag).collect();
    Invoice::parse(&forge("lnbcrt", &fields))
}

#[test]
fn an_invoice_says_what_its_terms_say() {
    let invoice = terms().sign(&secret()).unwrap();
    assert!(invoice.as_str().starts_with("lnbcrt1234567890p1"), "{invoice}");
    assert_eq!(Invoice::parse(invoice.as_str()), Ok(invoice.clone()));
    assert_eq!(terms().sign(&secret()), Ok(invoice.clone()));
    assert_eq!(invoice.payee, secret().public_key(SECP256K1));
    assert_eq!(invoice.features, Features::of(&[8, 14]));
    assert_eq!(invoice.description, Description::Text(terms().description));
    let again = InvoiceTerms {
        network: invoice.network,
        amount: invoice.amount,
        description: terms().description,
        payment_hash: invoice.payment_hash,
        payment_secret: invoice.payment_secret,
        min_final_cltv_expiry_delta: invoice.min_final_cltv_expiry_delta as u16,
        expiry_seconds: invoice.expiry_seconds,
        timestamp: Timestamp::new(1_700_000_000_999_999),
        route_hints: invoice.route_hints.clone(),
    };
    assert_eq!(again, terms());
    assert_eq!(invoice.timestamp, Timestamp::new(1_700_000_000_000_000));
}

#[test]
fn what_an_invoice_has_no_room_for_is_not_written() {
    let long = InvoiceTerms { description: "x".repeat(640), ..terms() };
    let problem = CreationError::DescriptionTooLong;
    assert_eq!(long.sign(&secret()), Err(InvoiceError::Creation { problem }));
    let dear = InvoiceTerms { amount: Some(Msat::new(u64::MAX)), ..terms() };
    let problem = CreationError::InvalidAmount;
    assert_eq!(dear.sign(&secret()), Err(InvoiceError::Creation { problem }));
    let late = InvoiceTerms { timestamp: Timestamp::new(u64::MAX), ..terms() };
    assert!(late.sign(&secret()).is_err());
}

#[test]
fn the_smallest_invoice_is_read_with_the_defaults() {
    let invoice = with(&[]).unwrap();
    assert_eq!(
        (invoice.amount, invoice.expiry_seconds, invoice.min_final_cltv_expiry_delta),
        (None, 3600, 18)
    );
    assert_eq!(invoice.features, Features::default());
    assert_eq!(invoice.payee, secret().public_key(SECP256K1));
}

#[test]
fn missing_and_contradicting_fields_are_refused() {
    assert_eq!(without('p'), Err(InvoiceError::Missing { field: 'p' }));
    assert_eq!(without('s'), Err(InvoiceError::Missing { field: 's' }));
    assert_eq!(without('d'), Err(InvoiceError::Missing { field: 'd' }));
    assert_eq!(with(&[('h', vec![1; 52])]), Err(InvoiceError::TwoDescriptions));
}

#[test]
fn fields_of_a_wrong_length_are_refused() {
    for (field, length) in [('p', 51), ('p', 53), ('s', 51), ('h', 53), ('n', 52), ('n', 54), ('n', 0)] {
        assert_eq!(with(&[(field, vec![0; length])]), Err(InvoiceError::WrongLength { field, length }));
    }
}

#[test]
fn numbers_that_are_not_in_shortest_form_are_refused() {
    for field in ['c', 'x', '9'] {
        assert_eq!(with(&[(field, vec![0, 1])]), Err(InvoiceError::NotMinimal { field }));
    }
    assert_eq!(with(&[('x', vec![1, 0])]).unwrap().expiry_seconds, 32);
}

#[test]
fn features_are_understood_or_odd_and_bring_what_they_need() {
    let bits = |bits: &[usize]| {
        let mut elements = vec![0_u8; bits.iter().max().unwrap() / 5 + 1];
        bits.iter().for_each(|bit| elements[bit / 5] |= 1 << (bit % 5));
        elements.reverse();
        with(&[('9', elements)]).map(|invoice| invoice.features)
    };
    assert_eq!(bits(&[8, 14, 17, 101]), Ok(Features::of(&[8, 14, 17, 101])));
    assert_eq!(bits(&[8, 14, 24]), Err(InvoiceError::UnknownFeature { bit: 24 }));
    assert_eq!(bits(&[15]), Err(InvoiceError::FeatureDependency { bit: 14, needs: 8 }));
    assert_eq!(bits(&[9, 17]), Err(InvoiceError::FeatureDependency { bit: 16, needs: 14 }));
}

#[test]
fn an_amount_that_overflows_is_not_taken_for_none() {
    let huge = forge("lnbcrt18446744073709551615", &good());
    assert_eq!(Invoice::parse(&huge), Err(InvoiceError::AmountTooLarge));
    let precise = forge("lnbcrt11p", &good());
    assert_eq!(Invoice::parse(&precise), Err(InvoiceError::ImpreciseAmount));
}

#[test]
fn a_fallback_of_an_unknown_version_is_skipped() {
    assert_eq!(with(&[('f', vec![19; 33])]).unwrap().fallbacks, Vec::<ScriptBuf>::new());
}

#[test]
fn a_signature_by_another_key_than_n_is_refused() {
    let other = SecretKey::from_slice(&[3; 32]).unwrap().public_key(SECP256K1).serialize();
    let n: Vec<u8> = other.into_iter().bytes_to_fes().map(Fe32::to_u8).collect();
    assert_eq!(with(&[('n', n)]), Err(InvoiceError::Signature));
    let own = secret().public_key(SECP256K1);
    let n: Vec<u8> = own.serialize().into_iter().bytes_to_fes().map(Fe32::to_u8).collect();
    assert_eq!(with(&[('n', n)]).unwrap().payee, own);
}

/// All but one of the BOLT's examples are signed with this key, as this crate signs (RFC 6979); the one has a high s.
#[test]
fn the_examples_of_the_bolt_are_written_and_signed_alike() {
    const EXAMPLES: &str = include_str!("../../../../../tests/data/bolt11/examples.md");
    let key: SecretKey = "e126f68f7eafcc8b74f54d269fe206be715000f94dac067d1c04a8ca3b2db734".parse().unwrap();
    let (valid, _) = EXAMPLES.split_once("# Examples of Invalid Invoices").unwrap();
    let lines = valid.lines().map(|line| line.trim_start_matches("> ").to_ascii_lowercase());
    let mut count = 0;
    for text in lines.filter(|line| line.starts_with("lnbc") || line.starts_with("lntb")) {
        let signed: SignedRawBolt11Invoice = text.parse().unwrap();
        assert_eq!(signed.to_string(), text);
        assert_eq!(layout::signed_hash(&text).unwrap(), *signed.signable_hash());
        let again = signed
            .raw_invoice()
            .clone()
            .sign::<_, Infallible>(|hash| Ok(SECP256K1.sign_ecdsa_recoverable(hash, &key)));
        let high_s = text.ends_with("rc90gx");
        assert_eq!(again.unwrap().to_string() == text, !high_s, "{text}");
        count += 1;
    }
    assert_eq!(count, 16);
}

#[test]
fn the_signature_covers_the_padding_as_it_came() {
    // 52 elements hold 4 bits more than a hash: here they are not zero.
    let odd = with(&[]).unwrap();
    let even: Vec<_> =
        good().into_iter().map(|(tag, _)| (tag, if tag == 'd' { vec![] } else { vec![16; 52] })).collect();
    assert_eq!(odd.payee, Invoice::parse(&forge("lnbcrt", &even)).unwrap().payee);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn text_is_read_or_refused_but_never_panics(
        text in "\\PC{0,40}", amount in "[0-9munp]{0,21}",
        fields in proptest::collection::vec(("[a-z0-9]", proptest::collection::vec(0..32_u8, 0..60)), 0..4),
    ) {
        let _ = Invoice::parse(&text);
        let known = |(tag, contents): (String, Vec<u8>)| tag.chars().next().filter(|tag| Fe32::from_char(*tag).is_ok()).map(|tag| (tag, contents));
        let fields: Vec<_> = good().into_iter().chain(fields.into_iter().filter_map(known)).collect();
        let _ = Invoice::parse(&forge(&format!("lnbcrt{amount}"), &fields));
    }

    #[test]
    fn any_amount_reads_back(amount in 1..=u64::MAX / 10) {
        let invoice = InvoiceTerms { amount: Some(Msat::new(amount)), ..terms() }.sign(&secret()).unwrap();
        prop_assert_eq!(invoice.amount, Some(Msat::new(amount)));
    }
}
