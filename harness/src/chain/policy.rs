//! Standardness of one transaction, as Bitcoin Core 31 (`src/policy/policy.cpp`) judges it with its default settings. It
//! sees one transaction and what it spends, never the mempool. The words are Core's.
use bitcoin::opcodes::all::{OP_CHECKMULTISIG, OP_RETURN};
use bitcoin::script::Instruction;
use bitcoin::{Amount, Script, ScriptBuf, Transaction, TxOut};

use super::coins::{is_unspendable, Coin};
use super::reject::Reject;

/// Minimum relay feerate, sat per 1000 vbytes.
pub const MIN_RELAY_FEE: u64 = 100;
/// What a replacement adds at least, sat per 1000 vbytes.
pub const INCREMENTAL_RELAY_FEE: u64 = 100;
/// Feerate that defines dust, sat per 1000 vbytes.
pub const DUST_RELAY_FEE: u64 = 3_000;
/// The most weight of a standard transaction.
pub const MAX_STANDARD_TX_WEIGHT: u64 = 400_000;
/// Bytes that a signature operation counts for at least.
pub const BYTES_PER_SIGOP: u64 = 20;
/// The most sigops cost of a standard transaction.
pub const MAX_STANDARD_TX_SIGOPS_COST: u64 = 16_000;
const MIN_NONWITNESS_SIZE: usize = 65;
const MAX_SCRIPTSIG_SIZE: usize = 1_650;
const MAX_DATACARRIER_BYTES: usize = 100_000;
const MAX_LEGACY_SIGOPS: usize = 2_500;
const MAX_P2SH_SIGOPS: usize = 15;
const MAX_WITNESS_SCRIPT_SIZE: usize = 3_600;
const MAX_WITNESS_ITEMS: usize = 100;
const MAX_WITNESS_ITEM_SIZE: usize = 80;
const TAPROOT_ANNEX: u8 = 0x50;
const TAPSCRIPT_LEAF: u8 = 0xc0;

/// `ceil(feerate * vsize / 1000)`: what a feerate (sat per 1000 vbytes) asks for.
pub fn fee_at(feerate: u64, vsize: u64) -> Amount {
    Amount::from_sat(feerate.saturating_mul(vsize).div_ceil(1_000))
}

/// Does a fee meet the mempool's floor (sat per 1000 vbytes) and the relay minimum?
pub fn check_feerate(fee: Amount, vsize: u64, floor: u64) -> Result<(), Reject> {
    if fee < fee_at(floor, vsize) {
        return Err(Reject::MempoolMinFee);
    }
    if fee < fee_at(MIN_RELAY_FEE, vsize) {
        return Err(Reject::MinRelayFee);
    }
    Ok(())
}

/// What an output has to hold at least not to be dust.
pub fn dust_threshold(out: &TxOut) -> Amount {
    if is_unspendable(out) {
        return Amount::ZERO;
    }
    let input =
        if out.script_pubkey.is_witness_program() { 32 + 4 + 1 + 107 / 4 + 4 } else { 32 + 4 + 1 + 107 + 4 };
    fee_at(DUST_RELAY_FEE, out.size() as u64 + input)
}

/// Below the dust threshold?
pub fn is_dust(out: &TxOut) -> bool {
    out.value < dust_threshold(out)
}

/// The standard forms of an output script.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OutputForm {
    /// P2SH.
    ScriptHash,
    /// P2WPKH, P2WSH, P2TR, P2PK, P2PKH or bare multisig: spendable by a known rule.
    Known,
    /// Pay to anchor.
    Anchor,
    /// A witness version or length without meaning yet.
    UnknownWitness,
    /// OP_RETURN and pushes.
    NullData,
    /// Anything else.
    Nonstandard,
}

/// Recognises an output script.
pub fn output_form(script: &Script) -> OutputForm {
    let bytes = script.as_bytes();
    if script.is_p2sh() {
        return OutputForm::ScriptHash;
    }
    if script.is_witness_program() {
        return if script.is_p2wpkh() || script.is_p2wsh() || script.is_p2tr() {
            OutputForm::Known
        } else if is_anchor(script) {
            OutputForm::Anchor
        } else if bytes.first() != Some(&0) {
            OutputForm::UnknownWitness
        } else {
            OutputForm::Nonstandard
        };
    }
    if bytes.first() == Some(&OP_RETURN.to_u8()) {
        let rest = bytes.get(1..).map(Script::from_bytes);
        return if rest.is_some_and(is_push_only) { OutputForm::NullData } else { OutputForm::Nonstandard };
    }
    if is_pay_to_key(bytes) || script.is_p2pkh() || standard_multisig(script) {
        return OutputForm::Known;
    }
    OutputForm::Nonstandard
}

/// `OP_1 <4e73>`.
pub fn is_anchor(script: &Script) -> bool {
    script.as_bytes() == [0x51, 0x02, 0x4e, 0x73]
}

/// Only pushes, OP_RESERVED counted as one, as Core does.
pub fn is_push_only(script: &Script) -> bool {
    script.instructions().all(|instruction| match instruction {
        Ok(Instruction::PushBytes(_)) => true,
        Ok(Instruction::Op(op)) => op.to_u8() <= 0x60,
        Err(_) => false,
    })
}

fn is_key(bytes: &[u8]) -> bool {
    match bytes.first() {
        Some(2 | 3) => bytes.len() == 33,
        Some(4 | 6 | 7) => bytes.len() == 65,
        _ => false,
    }
}

fn is_pay_to_key(bytes: &[u8]) -> bool {
    match bytes {
        [33, key @ .., 0xac] => key.len() == 33 && is_key(key),
        [65, key @ .., 0xac] => key.len() == 65 && is_key(key),
        _ => false,
    }
}

/// Bare multisig of at most three keys.
fn standard_multisig(script: &Script) -> bool {
    let Ok(parts) = script.instructions_minimal().collect::<Result<Vec<_>, _>>() else { return false };
    let number = |part: &Instruction| match part {
        Instruction::Op(op) if (0x51..=0x60).contains(&op.to_u8()) => Some(usize::from(op.to_u8() - 0x50)),
        _ => None,
    };
    let [first, keys @ .., last, end] = parts.as_slice() else { return false };
    let (Some(required), Some(total)) = (number(first), number(last)) else { return false };
    let keys_valid = keys.iter().all(|part| part.push_bytes().is_some_and(|push| is_key(push.as_bytes())));
    *end == Instruction::Op(OP_CHECKMULTISIG)
        && keys_valid
        && keys.len() == total
        && (1..=3).contains(&total)
        && (1..=total).contains(&required)
}

/// Version, size, scriptSigs, outputs, dust: what can be said without knowing what is spent.
pub fn check_standard(tx: &Transaction) -> Result<(), Reject> {
    if !(1..=3).contains(&tx.version.0) {
        return Err(Reject::Version);
    }
    if tx.weight().to_wu() > MAX_STANDARD_TX_WEIGHT {
        return Err(Reject::TxSize);
    }
    for input in &tx.input {
        if input.script_sig.len() > MAX_SCRIPTSIG_SIZE {
            return Err(Reject::ScriptSigSize);
        }
        if !is_push_only(&input.script_sig) {
            return Err(Reject::ScriptSigNotPushOnly);
        }
    }
    let mut data_left = MAX_DATACARRIER_BYTES;
    for out in &tx.output {
        match output_form(&out.script_pubkey) {
            OutputForm::Nonstandard => return Err(Reject::ScriptPubKey),
            OutputForm::NullData => {
                data_left = data_left.checked_sub(out.script_pubkey.len()).ok_or(Reject::DataCarrier)?;
            }
            _ => {}
        }
    }
    // One dust output is allowed here; `check_ephemeral` asks that the transaction then pays nothing.
    if tx.output.iter().filter(|out| is_dust(out)).count() > 1 {
        return Err(Reject::Dust);
    }
    Ok(())
}

/// 64 bytes could pass for an inner merkle node.
pub fn check_minimum_size(tx: &Transaction) -> Result<(), Reject> {
    if tx.base_size() < MIN_NONWITNESS_SIZE {
        return Err(Reject::TxSizeSmall);
    }
    Ok(())
}

/// A transaction with a dust output must pay no fee, so that nobody mines it alone.
pub fn check_ephemeral(tx: &Transaction, fee: Amount) -> Result<(), Reject> {
    if fee != Amount::ZERO && tx.output.iter().any(is_dust) {
        return Err(Reject::Dust);
    }
    Ok(())
}

/// The last push of a scriptSig of pushes: a P2SH redeem script.
fn redeem_script(script_sig: &Script) -> Option<ScriptBuf> {
    let mut last = None;
    for instruction in script_sig.instructions() {
        last = match instruction.ok()? {
            Instruction::PushBytes(push) => Some(push.as_bytes().to_vec()),
            Instruction::Op(op) => match op.to_u8() {
                0x4f => Some(vec![0x81]),
                n @ 0x51..=0x60 => Some(vec![n - 0x50]),
                _ => return None,
            },
        };
    }
    last.map(ScriptBuf::from_bytes)
}

/// What is spent has a form that has a rule, and not too many signature operations (BIP 54, P2SH).
pub fn check_inputs(tx: &Transaction, coins: &[Coin]) -> Result<(), Reject> {
    let pairs = || tx.input.iter().zip(coins);
    let mut sigops = 0usize;
    for (input, coin) in pairs() {
        let redeem = coin.out.script_pubkey.is_p2sh().then(|| redeem_script(&input.script_sig)).flatten();
        let spent = redeem.as_deref().unwrap_or(&coin.out.script_pubkey);
        sigops = sigops.saturating_add(input.script_sig.count_sigops()).saturating_add(spent.count_sigops());
    }
    if sigops > MAX_LEGACY_SIGOPS {
        return Err(Reject::NonstandardInputs);
    }
    for (input, coin) in pairs() {
        match output_form(&coin.out.script_pubkey) {
            OutputForm::Nonstandard if !wide_multisig(&coin.out.script_pubkey) => {
                return Err(Reject::NonstandardInputs)
            }
            OutputForm::UnknownWitness => return Err(Reject::NonstandardInputs),
            OutputForm::ScriptHash => {
                let redeem = redeem_script(&input.script_sig).ok_or(Reject::NonstandardInputs)?;
                if redeem.count_sigops() > MAX_P2SH_SIGOPS {
                    return Err(Reject::NonstandardInputs);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// A bare multisig of more than three keys: not standard to create, but standard to spend.
fn wide_multisig(script: &Script) -> bool {
    script.is_multisig()
}

/// Witnesses that are not stuffed: sizes of P2WSH and tapscript spends, no annex, no witness where none belongs.
pub fn check_witnesses(tx: &Transaction, coins: &[Coin]) -> Result<(), Reject> {
    for (input, coin) in tx.input.iter().zip(coins) {
        if input.witness.is_empty() {
            continue;
        }
        let script = &coin.out.script_pubkey;
        let nested = if script.is_p2sh() {
            Some(redeem_script(&input.script_sig).ok_or(Reject::NonstandardWitness)?)
        } else {
            None
        };
        let program = nested.as_deref().unwrap_or(script);
        let stack: Vec<&[u8]> = input.witness.iter().collect();
        if is_anchor(script)
            || !program.is_witness_program()
            || !witness_stack_fits(program, nested.is_some(), &stack)
        {
            return Err(Reject::NonstandardWitness);
        }
    }
    Ok(())
}

fn witness_stack_fits(program: &Script, nested: bool, stack: &[&[u8]]) -> bool {
    let small = |items: &[&[u8]]| items.iter().all(|item| item.len() <= MAX_WITNESS_ITEM_SIZE);
    if program.is_p2wsh() {
        return stack.split_last().is_some_and(|(script, items)| {
            script.len() <= MAX_WITNESS_SCRIPT_SIZE && items.len() <= MAX_WITNESS_ITEMS && small(items)
        });
    }
    if program.is_p2tr() && !nested {
        return match stack {
            [] => false,
            [_] => true,
            [.., last] if last.first() == Some(&TAPROOT_ANNEX) => false,
            [items @ .., _, control] => match control.first() {
                None => false,
                Some(first) => first & 0xfe != TAPSCRIPT_LEAF || small(items),
            },
        };
    }
    true
}
