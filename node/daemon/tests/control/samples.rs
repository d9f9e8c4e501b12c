//! Values of every command, reply and notice, with every optional part there and not there, and the largest numbers.

use bitcoin::hashes::Hash;
use bitcoin::{OutPoint, ScriptBuf, Txid, WPubkeyHash};
use leyden_core::channel::OpenRequest;
use leyden_core::ids::{ChannelId, NodeId, PaymentHash, Preimage, ShortChannelId};
use leyden_core::keys::Basepoints;
use leyden_core::node::{
    BalanceInfo, ChannelInfo, Command, ForwardPolicy, KnownChannel, Notice, PaymentFailure, PaymentInfo,
    PaymentOutcome, Reply, RouteHop, RoutePayment,
};
use leyden_core::tx::{ChannelTerms, ChannelType, PartyTerms, Side};
use leyden_core::units::{CltvExpiry, FeeratePerKw, Msat, Sat};
use secp256k1::{SecretKey, SECP256K1};

/// BOLT 11's own example with an amount, for a coffee.
pub const INVOICE: &str = "lnbc2500u1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdq5xysxxatsyp3k7enxv4jsxqzpu9qrsgquk0rl77nj30yxdy8j9vdx85fkpmdla2087ne0xh8nhedh8w27kyke0lp53ut353s06fv3qfegext0eh0ymjpf39tuven09sam30g4vgpfna3rh";

pub fn node(seed: u8) -> NodeId {
    SecretKey::from_slice(&[seed; 32]).expect("a secret").public_key(SECP256K1)
}

fn channel(seed: u8) -> ChannelId {
    ChannelId([seed; 32])
}

fn hash(seed: u8) -> PaymentHash {
    PaymentHash(std::array::from_fn(|index| seed ^ index as u8))
}

pub fn commands() -> Vec<Command> {
    vec![
        Command::NewAddress,
        Command::Open(OpenRequest {
            peer: node(2),
            funding_amount: Sat::new(1_000_000),
            push: Msat::new(1),
            channel_type: ChannelType::StaticRemotekey,
            commitment_feerate: FeeratePerKw::new(253),
            funding_feerate: FeeratePerKw::new(u32::MAX),
            public: true,
        }),
        Command::Open(OpenRequest {
            peer: node(3),
            funding_amount: Sat::new(u64::MAX),
            push: Msat::ZERO,
            channel_type: ChannelType::AnchorsZeroFeeHtlc,
            commitment_feerate: FeeratePerKw::ZERO,
            funding_feerate: FeeratePerKw::new(1),
            public: false,
        }),
        Command::Close { channel: channel(1), feerate: None },
        Command::Close { channel: channel(255), feerate: Some(FeeratePerKw::new(1000)) },
        Command::ForceClose { channel: channel(3) },
        Command::UpdateFee { channel: channel(4), feerate: FeeratePerKw::new(2500) },
        Command::Invoice { amount: None, description: String::new(), min_final_cltv_delta: None },
        Command::Invoice {
            amount: Some(Msat::new(u64::MAX)),
            description: "caffè \"corto\"\n\u{0}".to_owned(),
            min_final_cltv_delta: Some(u32::MAX),
        },
        Command::Pay { invoice: "any text".to_owned(), amount: None, max_fee: Msat::ZERO },
        Command::Pay {
            invoice: INVOICE.to_owned(),
            amount: Some(Msat::new(7)),
            max_fee: Msat::new(u64::MAX),
        },
        Command::PayRoute(RoutePayment {
            payment_hash: hash(1),
            payment_secret: hash(2).0,
            hops: Vec::new(),
            total: Msat::new(9),
        }),
        Command::PayRoute(RoutePayment {
            payment_hash: hash(3),
            payment_secret: [0; 32],
            hops: vec![hop(2, 0), hop(3, u64::MAX)],
            total: Msat::new(u64::MAX),
        }),
        Command::LearnChannel(KnownChannel {
            short_channel_id: ShortChannelId(u64::MAX),
            from: node(2),
            to: node(3),
            capacity: Sat::new(5),
            policy: ForwardPolicy {
                fee_base: Msat::new(1),
                fee_proportional_millionths: u32::MAX,
                cltv_expiry_delta: 3,
                htlc_minimum: Msat::new(4),
                htlc_maximum: Msat::new(u64::MAX),
            },
        }),
        Command::ListChannels,
        Command::ListPayments,
        Command::Balances,
    ]
}

fn hop(to: u8, short_channel_id: u64) -> RouteHop {
    RouteHop {
        node: node(to),
        short_channel_id: ShortChannelId(short_channel_id),
        amount: Msat::new(1001),
        cltv_expiry: CltvExpiry::new(u32::MAX),
    }
}

pub fn replies() -> Vec<Reply> {
    vec![
        Reply::Done,
        Reply::Address(ScriptBuf::new_p2wpkh(&WPubkeyHash::from_byte_array([9; 20]))),
        Reply::Address(ScriptBuf::new()),
        Reply::Opening { temporary: channel(8) },
        Reply::Invoice { text: INVOICE.to_owned(), payment_hash: hash(4) },
        Reply::Paying { payment_hash: hash(5) },
        Reply::Channels(Vec::new()),
        Reply::Channels(vec![young_channel(), grown_channel()]),
        Reply::Payments(Vec::new()),
        Reply::Payments(payments()),
        Reply::Balances(BalanceInfo {
            wallet: Sat::new(u64::MAX),
            channels: Msat::ZERO,
            closing: Msat::ZERO,
        }),
    ]
}

fn young_channel() -> ChannelInfo {
    ChannelInfo {
        channel_id: channel(1),
        peer: node(2),
        phase: "opening".to_owned(),
        usable: false,
        short_channel_id: None,
        terms: None,
        to_local: Msat::ZERO,
        to_remote: Msat::ZERO,
        pending_htlcs: 0,
        local_commitment: 0,
        remote_commitment: 0,
        feerate: FeeratePerKw::ZERO,
    }
}

pub fn grown_channel() -> ChannelInfo {
    let party = |seed: u8| PartyTerms {
        basepoints: Basepoints {
            funding_pubkey: node(seed),
            revocation: node(seed + 1),
            payment: node(seed + 2),
            delayed_payment: node(seed + 3),
            htlc: node(seed + 4),
        },
        dust_limit: Sat::new(354),
        to_self_delay: u16::MAX,
    };
    let txid = Txid::from_byte_array(std::array::from_fn(|index| index as u8));
    ChannelInfo {
        channel_id: channel(2),
        peer: node(3),
        phase: "normal".to_owned(),
        usable: true,
        short_channel_id: ShortChannelId::new(103, 1, 65535),
        terms: Some(ChannelTerms {
            channel_type: ChannelType::AnchorsZeroFeeHtlc,
            funding: OutPoint { txid, vout: u32::MAX },
            funding_amount: Sat::new(1_000_000),
            opener: Side::Remote,
            local: party(10),
            remote: party(20),
        }),
        to_local: Msat::new(400_000_000),
        to_remote: Msat::new(600_000_000),
        pending_htlcs: 483,
        local_commitment: u64::MAX,
        remote_commitment: 41,
        feerate: FeeratePerKw::new(2500),
    }
}

fn payments() -> Vec<PaymentInfo> {
    let payment = |outcome, incoming| PaymentInfo {
        payment_hash: hash(6),
        amount: Msat::new(100_000),
        fee: Msat::new(7),
        outcome,
        attempts: 3,
        incoming,
    };
    let failed = |node, code| PaymentOutcome::Failed { failure: failure(node, code) };
    vec![
        payment(None, false),
        payment(Some(PaymentOutcome::Succeeded { preimage: Preimage([3; 32]) }), true),
        payment(Some(failed(None, 0)), false),
        payment(Some(failed(Some(node(4)), u16::MAX)), false),
    ]
}

pub fn failure(node: Option<NodeId>, code: u16) -> PaymentFailure {
    PaymentFailure { node, code, text: "temporary_channel_failure".to_owned() }
}

pub fn notices() -> Vec<Notice> {
    vec![
        Notice::PeerReady { peer: node(2) },
        Notice::ChannelNamed { temporary: channel(1), channel: channel(2) },
        Notice::ChannelReady { channel: channel(2), short_channel_id: ShortChannelId(1 << 40) },
        Notice::ChannelClosing { channel: channel(2), why: "lines\nand \"quotes\"".to_owned() },
        Notice::ChannelResolved { channel: channel(2) },
        Notice::ChannelAbandoned { channel: channel(2), why: String::new() },
        Notice::PaymentSent {
            payment_hash: hash(1),
            preimage: Preimage([1; 32]),
            amount: Msat::new(1),
            fee: Msat::new(2),
        },
        Notice::PaymentFailed { payment_hash: hash(2), failure: failure(None, 0) },
        Notice::PaymentReceived { payment_hash: hash(3), amount: Msat::new(u64::MAX) },
        Notice::Forwarded { payment_hash: hash(4), fee: Msat::ZERO },
        Notice::PeerError { peer: node(3), text: "\u{1b}[31m".to_owned() },
    ]
}
