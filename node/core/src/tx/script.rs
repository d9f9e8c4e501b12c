//! The witness scripts of BOLT 3, and the output scripts that commit to them. Builds, never parses.
use super::{ChannelType, CommitmentKeys, Direction, HtlcTerms};
use bitcoin::hashes::{hash160, ripemd160, Hash};
use bitcoin::opcodes::all as op;
use bitcoin::script::Builder;
use bitcoin::{ScriptBuf, WPubkeyHash};
use secp256k1::PublicKey;

/// 2-of-2 of the funding keys, the lesser key first (BOLT 3, "Funding Transaction Output").
pub fn funding_script(one: &PublicKey, other: &PublicKey) -> ScriptBuf {
    let (one, other) = (one.serialize(), other.serialize());
    let (lesser, greater) = if one < other { (one, other) } else { (other, one) };
    Builder::new()
        .push_opcode(op::OP_PUSHNUM_2)
        .push_slice(lesser)
        .push_slice(greater)
        .push_opcode(op::OP_PUSHNUM_2)
        .push_opcode(op::OP_CHECKMULTISIG)
        .into_script()
}

/// The holder's money after a delay, or the counterparty's with the revocation key: `to_local` of a commitment and
/// the output of every HTLC transaction.
pub fn to_local_script(revocation: &PublicKey, to_self_delay: u16, delayed_payment: &PublicKey) -> ScriptBuf {
    Builder::new()
        .push_opcode(op::OP_IF)
        .push_slice(revocation.serialize())
        .push_opcode(op::OP_ELSE)
        .push_int(i64::from(to_self_delay))
        .push_opcode(op::OP_CSV)
        .push_opcode(op::OP_DROP)
        .push_slice(delayed_payment.serialize())
        .push_opcode(op::OP_ENDIF)
        .push_opcode(op::OP_CHECKSIG)
        .into_script()
}

/// `to_remote` under anchors: the counterparty's key and a lock of one block.
pub fn to_remote_anchors_script(payment: &PublicKey) -> ScriptBuf {
    Builder::new()
        .push_slice(payment.serialize())
        .push_opcode(op::OP_CHECKSIGVERIFY)
        .push_int(1)
        .push_opcode(op::OP_CSV)
        .into_script()
}

/// The output script of `to_remote` in this format.
pub fn to_remote_script_pubkey(channel_type: ChannelType, payment: &PublicKey) -> ScriptBuf {
    if channel_type.has_anchors() {
        to_remote_anchors_script(payment).to_p2wsh()
    } else {
        ScriptBuf::new_p2wpkh(&WPubkeyHash::hash(&payment.serialize()))
    }
}

/// An anchor of the owner of this funding key; anyone's after 16 blocks.
pub fn anchor_script(funding_pubkey: &PublicKey) -> ScriptBuf {
    Builder::new()
        .push_slice(funding_pubkey.serialize())
        .push_opcode(op::OP_CHECKSIG)
        .push_opcode(op::OP_IFDUP)
        .push_opcode(op::OP_NOTIF)
        .push_opcode(op::OP_PUSHNUM_16)
        .push_opcode(op::OP_CSV)
        .push_opcode(op::OP_ENDIF)
        .into_script()
}

/// An HTLC output's script: offered or received, as the HTLC says (BOLT 3, "Offered/Received HTLC Outputs").
pub fn htlc_script(channel_type: ChannelType, keys: &CommitmentKeys, htlc: &HtlcTerms) -> ScriptBuf {
    let head = htlc_script_head(keys);
    let body = match htlc.direction {
        Direction::Offered => offered_branches(head, keys, htlc),
        Direction::Received => received_branches(head, keys, htlc),
    };
    let locked = if channel_type.has_anchors() {
        body.push_int(1).push_opcode(op::OP_CSV).push_opcode(op::OP_DROP)
    } else {
        body
    };
    locked.push_opcode(op::OP_ENDIF).into_script()
}

/// The penalty branch, and the size test that tells a preimage from anything else.
fn htlc_script_head(keys: &CommitmentKeys) -> Builder {
    Builder::new()
        .push_opcode(op::OP_DUP)
        .push_opcode(op::OP_HASH160)
        .push_slice(hash160::Hash::hash(&keys.revocation.serialize()).to_byte_array())
        .push_opcode(op::OP_EQUAL)
        .push_opcode(op::OP_IF)
        .push_opcode(op::OP_CHECKSIG)
        .push_opcode(op::OP_ELSE)
        .push_slice(keys.counterparty_htlc.serialize())
        .push_opcode(op::OP_SWAP)
        .push_opcode(op::OP_SIZE)
        .push_int(32)
        .push_opcode(op::OP_EQUAL)
}

fn offered_branches(head: Builder, keys: &CommitmentKeys, htlc: &HtlcTerms) -> Builder {
    head.push_opcode(op::OP_NOTIF)
        .push_opcode(op::OP_DROP)
        .push_int(2)
        .push_opcode(op::OP_SWAP)
        .push_slice(keys.holder_htlc.serialize())
        .push_int(2)
        .push_opcode(op::OP_CHECKMULTISIG)
        .push_opcode(op::OP_ELSE)
        .push_opcode(op::OP_HASH160)
        .push_slice(ripemd160::Hash::hash(&htlc.payment_hash.0).to_byte_array())
        .push_opcode(op::OP_EQUALVERIFY)
        .push_opcode(op::OP_CHECKSIG)
        .push_opcode(op::OP_ENDIF)
}

fn received_branches(head: Builder, keys: &CommitmentKeys, htlc: &HtlcTerms) -> Builder {
    head.push_opcode(op::OP_IF)
        .push_opcode(op::OP_HASH160)
        .push_slice(ripemd160::Hash::hash(&htlc.payment_hash.0).to_byte_array())
        .push_opcode(op::OP_EQUALVERIFY)
        .push_int(2)
        .push_opcode(op::OP_SWAP)
        .push_slice(keys.holder_htlc.serialize())
        .push_int(2)
        .push_opcode(op::OP_CHECKMULTISIG)
        .push_opcode(op::OP_ELSE)
        .push_opcode(op::OP_DROP)
        .push_int(i64::from(htlc.cltv_expiry.get()))
        .push_opcode(op::OP_CLTV)
        .push_opcode(op::OP_DROP)
        .push_opcode(op::OP_CHECKSIG)
        .push_opcode(op::OP_ENDIF)
}
