//! The rows of the table. Text only: a test reads every row's example as a call.

use super::{Method, Parameter};

const fn needed(name: &'static str, form: &'static str, about: &'static str) -> Parameter {
    Parameter { name, form, default: None, about }
}

const fn optional(
    name: &'static str,
    form: &'static str,
    default: &'static str,
    about: &'static str,
) -> Parameter {
    Parameter { name, form, default: Some(default), about }
}

const NODE_ID: &str = "node id, 66 hex digits";
const CHANNEL_ID: &str = "channel id, 64 hex digits";
const HASH: &str = "64 hex digits";
const SCID: &str = "short channel id, HEIGHTxINDEXxOUTPUT";
const SAT: &str = "integer, satoshis";
const MSAT: &str = "integer, millisatoshis";
const FEERATE: &str = "integer, satoshis per 1000 weight units (250 is 1 sat/vB)";
const NODES_FEERATE: &str = "the feerate that `getinfo` shows";
const NEVER: &str = "never.";
const STOPPING: &str = "when the node is stopping.";

/// Every method, in the order that `help` lists them.
pub const METHODS: &[Method] = &[
    Method {
        name: "getinfo",
        about: "What the node is and where it stands.",
        parameters: &[],
        result: "`node_id`, `alias`, `network`, `height`, `block_hash`, `synced` (whether that is its source's tip), \
                 `waits_for` (what keeps it from following, in words, or null), `feerate_per_kw`, `peers` (see `listpeers`), \
                 `listening` (host:port of each), `commits` (fsyncs since its start), `boxes` (of a watchtower those that it keeps; of a \
                 node those that not all of its towers have), `version`.",
        errors: NEVER,
        example: "{}",
    },
    Method {
        name: "newaddress",
        about: "A fresh address of the wallet. Coins sent to it open channels and pay for closing them.",
        parameters: &[],
        result: "`address`, and its `script` in hex.",
        errors: STOPPING,
        example: "{}",
    },
    Method {
        name: "connect",
        about: "Connects to a peer, and answers when both sent `init`. The node keeps the connection: it dials again when it breaks.",
        parameters: &[
            needed("peer", NODE_ID, "Whom; another key at that address is refused."),
            needed("address", "string, host:port", "Where; an IPv6 address stands in brackets."),
        ],
        result: "an empty object.",
        errors: "with -32002 when nobody answers there, or BOLT 8 or `init` fails.",
        example: r#"{"peer": "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798", "address": "127.0.0.1:9735"}"#,
    },
    Method {
        name: "disconnect",
        about: "Drops the connection to a peer and dials it no more. Channels with it stay, and are of no use meanwhile.",
        parameters: &[needed("peer", NODE_ID, "Whom.")],
        result: "an empty object.",
        errors: "when there is no connection.",
        example: r#"{"peer": "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"}"#,
    },
    Method {
        name: "listpeers",
        about: "The peers, connected or being dialled.",
        parameters: &[],
        result: "`peers`: of each `node_id`, `address` or null, `inbound`, `ready` (`init` went both ways).",
        errors: NEVER,
        example: "{}",
    },
    Method {
        name: "openchannel",
        about: "Opens a channel with a connected peer. The answer comes when the opening begins; `channel_named` tells the id that the \
                channel keeps, `channel_ready` when it can be used, `channel_abandoned` when nothing comes of it.",
        parameters: &[
            needed("peer", NODE_ID, "With whom."),
            needed("amount_sat", SAT, "The funding output, all of it from this node's wallet."),
            optional("push_msat", MSAT, "0", "Given to the peer from the start, for good."),
            optional(
                "channel_type",
                "`static_remotekey` or `anchors_zero_fee_htlc`",
                "`anchors_zero_fee_htlc`",
                "The commitment format (BOLT 2 `channel_type`).",
            ),
            optional("commitment_feerate_per_kw", FEERATE, NODES_FEERATE, "Of the first commitments."),
            optional("funding_feerate_per_kw", FEERATE, NODES_FEERATE, "Of the funding transaction."),
            optional("public", "true or false", "false", "Whether the channel may be announced."),
        ],
        result: "`temporary_channel_id`.",
        errors: "when the peer is not ready, the wallet has too little, or a rule of BOLT 2 forbids it.",
        example: r#"{"peer": "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798", "amount_sat": 1000000, "push_msat": 0}"#,
    },
    Method {
        name: "closechannel",
        about: "Closes a channel together with the peer (BOLT 2 `shutdown`). Pending payments end first; the money is free as soon as \
                the transaction confirms. `channel_resolved` ends it.",
        parameters: &[
            needed("channel_id", CHANNEL_ID, "Which."),
            optional("feerate_per_kw", FEERATE, "the node's feerate then", "Of the closing transaction."),
        ],
        result: "an empty object: closing has begun.",
        errors: "when there is no such channel, or it is past closing.",
        example: r#"{"channel_id": "0101010101010101010101010101010101010101010101010101010101010101", "feerate_per_kw": 1000}"#,
    },
    Method {
        name: "forceclosechannel",
        about: "Closes a channel alone: publishes our commitment (BOLT 5). Our money waits `to_self_delay` blocks. For peers that do not answer.",
        parameters: &[needed("channel_id", CHANNEL_ID, "Which.")],
        result: "an empty object: the commitment is on its way.",
        errors: "when there is no such channel, or no commitment of it may be published.",
        example: r#"{"channel_id": "0101010101010101010101010101010101010101010101010101010101010101"}"#,
    },
    Method {
        name: "setchannelfee",
        about: "Changes the feerate of a channel's commitments (BOLT 2 `update_fee`). Only who opened the channel can.",
        parameters: &[
            needed("channel_id", CHANNEL_ID, "Which."),
            needed("feerate_per_kw", FEERATE, "To what."),
        ],
        result: "an empty object.",
        errors: "when there is no such channel, the peer opened it, or the opener cannot pay that fee.",
        example: r#"{"channel_id": "0101010101010101010101010101010101010101010101010101010101010101", "feerate_per_kw": 500}"#,
    },
    Method {
        name: "invoice",
        about: "Makes an invoice (BOLT 11). `payment_received` tells when it is paid.",
        parameters: &[
            optional("amount_msat", MSAT, "any: the payer chooses", "How much."),
            optional("description", "string, up to 639 bytes", "empty", "What for; the payer sees it."),
            optional("min_final_cltv_delta", "integer, blocks", "21", "Blocks that the last HTLC must leave this node, 21 or more: 18 before its expiry the channel would be closed for it."),
        ],
        result: "`invoice` (text), `payment_hash`.",
        errors: "when the description is too long or the delta is not 21 to 65535.",
        example: r#"{"amount_msat": 100000, "description": "a coffee"}"#,
    },
    Method {
        name: "decodeinvoice",
        about: "What an invoice says. Checks its form and signature; asks nobody.",
        parameters: &[needed("invoice", "string, BOLT 11", "The invoice.")],
        result: "`network`, `amount_msat` or null, `payee`, `payment_hash`, `payment_secret`, `payment_metadata`, `description` or \
                 `description_hash`, `timestamp` (s), `expiry_seconds`, `min_final_cltv_expiry_delta` (blocks), `features`, \
                 `fallback_scripts`, `route_hints`.",
        errors: "with -32602 when it is no valid invoice.",
        example: r#"{"invoice": "lnbcrt1..."}"#,
    },
    Method {
        name: "pay",
        about: "Pays an invoice. The answer comes when the payment begins; `payment_sent` or `payment_failed` ends it.",
        parameters: &[
            needed("invoice", "string, BOLT 11", "The invoice."),
            optional("amount_msat", MSAT, "the invoice's", "Must be given for an invoice without amount."),
            optional("max_fee_msat", MSAT, "1 % of the amount, at least 5000", "The most to pay in fees."),
        ],
        result: "`payment_hash`.",
        errors: "when the invoice cannot be paid: its form, network, time, amount, or because it is paid already or being paid.",
        example: r#"{"invoice": "lnbcrt1...", "max_fee_msat": 5000}"#,
    },
    Method {
        name: "payroute",
        about: "Sends one attempt over exactly this route, whatever policy says. For tests of how others react; a wrong route costs its fees.",
        parameters: &[
            needed("payment_hash", HASH, "The hash to pay to."),
            needed("payment_secret", HASH, "Told to the recipient (BOLT 4)."),
            needed(
                "hops",
                "array of objects",
                "First to last: `node_id` at the hop's end, `short_channel_id`, `amount_msat` and `cltv_expiry` of the HTLC on it.",
            ),
            needed("total_msat", MSAT, "`total_msat`, told to the recipient."),
        ],
        result: "`payment_hash`.",
        errors: "when the route has no hops, does not begin with a ready channel of this node, or the hash is being paid.",
        example: r#"{"payment_hash": "0202020202020202020202020202020202020202020202020202020202020202", "payment_secret": "0303030303030303030303030303030303030303030303030303030303030303", "hops": [{"node_id": "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798", "short_channel_id": "103x1x0", "amount_msat": 1000, "cltv_expiry": 150}], "total_msat": 1000}"#,
    },
    Method {
        name: "learnchannel",
        about: "Tells the node of one direction of a channel of others, for its routes. Gossip (BOLT 7) does this for public channels.",
        parameters: &[
            needed("short_channel_id", SCID, "Which."),
            needed("from", NODE_ID, "Who forwards in this direction."),
            needed("to", NODE_ID, "To whom."),
            needed("capacity_sat", SAT, "The funding output."),
            optional("fee_base_msat", MSAT, "1000", "BOLT 7 `fee_base_msat`."),
            optional("fee_proportional_millionths", "integer, ppm", "100", "BOLT 7."),
            optional("cltv_expiry_delta", "integer, blocks", "40", "BOLT 7."),
            optional("htlc_minimum_msat", MSAT, "1", "BOLT 7."),
            optional("htlc_maximum_msat", MSAT, "all there can be", "BOLT 7."),
        ],
        result: "an empty object.",
        errors: "when no more channels can be learnt.",
        example: r#"{"short_channel_id": "103x1x0", "from": "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798", "to": "02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5", "capacity_sat": 1000000}"#,
    },
    Method {
        name: "listchannels",
        about: "All channels that the node has not forgotten.",
        parameters: &[],
        result: "`channels`: of each `channel_id`, `peer`, `phase`, `usable` (whether payments can go over it now), \
                 `short_channel_id` or null, `terms` (null before they stand: \
                 `channel_type`, `funding` with `txid` and `vout`, `funding_amount_sat`, `opener`, and of `local` and `remote` the \
                 `basepoints`, `dust_limit_sat`, `to_self_delay`), `to_local_msat`, `to_remote_msat`, `pending_htlcs`, \
                 `local_commitment`, `remote_commitment` (numbers), `feerate_per_kw`.",
        errors: STOPPING,
        example: "{}",
    },
    Method {
        name: "listpayments",
        about: "Payments sent, and invoices that were paid.",
        parameters: &[],
        result: "`payments`: of each `payment_hash`, `amount_msat`, `fee_msat`, `attempts`, `incoming`, and `outcome`: null while it goes on, \
                 else `preimage`, or `failure` with `node` or null, `code` (BOLT 4; 0 when it never left) and `text`.",
        errors: STOPPING,
        example: "{}",
    },
    Method {
        name: "getbalances",
        about: "The wallet's coins, what is ours in channels, and what is ours of channels that ended and is not in the wallet yet.",
        parameters: &[],
        result: "`wallet_sat`, `channels_msat`, `closing_msat`: nothing is in two of them.",
        errors: STOPPING,
        example: "{}",
    },
    Method {
        name: "events",
        about: "Events that have happened, for callers that cannot read a stream. `GET /events` streams them.",
        parameters: &[
            optional("from", "integer", "the next one", "The number of the first; numbers begin with 1 at each start."),
            optional("limit", "integer, up to 1000", "1000", "The most to give."),
        ],
        result: "`events`, each as a line of the stream, and `next`: the number to go on with.",
        errors: "with -32602 a number that this process has not come to.",
        example: r#"{"from": 1, "limit": 10}"#,
    },
    Method {
        name: "waitblock",
        about: "Answers when the node has taken in the block of a height: with it what came into the wallet, and what became deep enough.",
        parameters: &[needed("height", "integer", "Which block.")],
        result: "an empty object.",
        errors: STOPPING,
        example: r#"{"height": 1}"#,
    },
    Method {
        name: "waitguarded",
        about: "Answers when every watchtower of the node has on its disk what punishes each state that a peer has revoked.",
        parameters: &[],
        result: "an empty object.",
        errors: "when the node has no tower, or is stopping.",
        example: "{}",
    },
    Method {
        name: "published",
        about: "How many of a channel's transactions the node's source of the chain has taken since the node started. Whoever mines blocks \
                himself waits with it for the transaction that is to be in one.",
        parameters: &[
            needed("channel_id", CHANNEL_ID, "Which channel."),
            optional("more_than", "integer", "answers at once", "Answer when it is more than this."),
        ],
        result: "`count`.",
        errors: "when there is no such channel any more, and no more of its transactions can come.",
        example: r#"{"channel_id": "0101010101010101010101010101010101010101010101010101010101010101", "more_than": 0}"#,
    },
    Method {
        name: "stop",
        about: "Stops the node: what it has promised is on disk, connections are dropped, the process ends with code 0.",
        parameters: &[],
        result: "an empty object, before the node ends.",
        errors: NEVER,
        example: "{}",
    },
    Method {
        name: "help",
        about: "The methods, or all about one of them.",
        parameters: &[optional("method", "string", "a line for each", "Which.")],
        result: "`text`.",
        errors: NEVER,
        example: r#"{"method": "pay"}"#,
    },
];
