//! Script verdicts. libbitcoinconsensus decides what is valid; it knows neither the flags that only policy has (LOW_S,
//! STRICTENC, NULLFAIL, MINIMALDATA, MINIMALIF, CLEANSTACK, WITNESS_PUBKEYTYPE, CONST_SCRIPTCODE and the discouraged upgrades)
//! nor does it name a failure. So a second reading by our own `machine` adds those rules for the mempool and finds Core's name for
//! a failure. Nothing becomes valid through it: for the mempool both must accept, in a block the library alone decides.
//! Opcodes that the machine does not know (arithmetic beyond the common ones) are refused in the mempool, with that as the name.
mod machine;
mod signature;

use std::fmt;

use bitcoin::hashes::{sha256, Hash};
use bitcoin::taproot::{ControlBlock, LeafVersion, TapLeafHash};
use bitcoin::{Script, ScriptBuf, Transaction, TxOut, XOnlyPublicKey};

use self::machine::{is_true, run, Rules};
use self::signature::{Checker, Version};
use super::coins::Coin;
use super::consensus;
use super::policy::{is_anchor, is_push_only};

/// Why a script refused a spend, in Core's words (`script_error.cpp`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScriptFault {
    /// In Core's words.
    Core(&'static str),
    /// The consensus library refused it and our machine cannot say why.
    Unnamed,
    /// Our machine does not know the opcode: no verdict on standardness, so refused.
    UnknownOpcode(u8),
}

impl fmt::Display for ScriptFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScriptFault::Core(words) => f.write_str(words),
            ScriptFault::Unnamed => f.write_str("refused by the consensus library, which gives no reason"),
            ScriptFault::UnknownOpcode(code) => {
                write!(f, "the embedded chain does not judge opcode {code:#04x}")
            }
        }
    }
}

/// Words that more than one file needs.
pub(super) mod words {
    use super::ScriptFault::{self, Core};
    pub const EVAL_FALSE: ScriptFault =
        Core("Script evaluated without error but finished with a false/empty top stack element");
    pub const CLEANSTACK: ScriptFault = Core("Stack size must be exactly one after execution");
    pub const PUSH_SIZE: ScriptFault = Core("Push value size limit exceeded");
    pub const BAD_OPCODE: ScriptFault = Core("Opcode missing or not understood");
    pub const PUSH_ONLY: ScriptFault = Core("Only push operators allowed in signatures");
    pub const PROGRAM_MISMATCH: ScriptFault = Core("Witness program hash mismatch");
    pub const WITNESS_EMPTY: ScriptFault = Core("Witness program was passed an empty witness");
    pub const WRONG_LENGTH: ScriptFault = Core("Witness program has incorrect length");
    pub const MALLEATED: ScriptFault = Core("Witness requires empty scriptSig");
    pub const MALLEATED_P2SH: ScriptFault = Core("Witness requires only-redeemscript scriptSig");
    pub const UNEXPECTED: ScriptFault = Core("Witness provided for non-witness script");
    pub const UPGRADABLE_PROGRAM: ScriptFault = Core("Witness version reserved for soft-fork upgrades");
    pub const UPGRADABLE_LEAF: ScriptFault = Core("Taproot version reserved for soft-fork upgrades");
    pub const CONTROL_SIZE: ScriptFault = Core("Invalid Taproot control block size");
    pub const OP_SUCCESS: ScriptFault = Core("OP_SUCCESSx reserved for soft-fork upgrades");
}

type Stack = Vec<Vec<u8>>;

/// Every input under every standard flag.
pub fn check_standard(tx: &Transaction, coins: &[Coin]) -> Result<(), ScriptFault> {
    let spent: Vec<TxOut> = coins.iter().map(|coin| coin.out.clone()).collect();
    for index in 0..tx.input.len() {
        read(tx, &spent, index, true)?;
    }
    consensus::check_scripts(tx, coins).map_err(|_| ScriptFault::Unnamed)
}

/// Every input under the consensus flags.
pub fn check_mandatory(tx: &Transaction, coins: &[Coin]) -> Result<(), ScriptFault> {
    consensus::check_scripts(tx, coins).map_err(|index| {
        let spent: Vec<TxOut> = coins.iter().map(|coin| coin.out.clone()).collect();
        read(tx, &spent, index, false).err().unwrap_or(ScriptFault::Unnamed)
    })
}

/// One input, as Core's `VerifyScript` goes through it.
fn read(tx: &Transaction, spent: &[TxOut], index: usize, policy: bool) -> Result<(), ScriptFault> {
    let (Some(input), Some(out)) = (tx.input.get(index), spent.get(index)) else {
        return Err(ScriptFault::Unnamed);
    };
    let mut checker = Checker::new(tx, spent, index, policy);
    let base = Rules { version: Version::Base, policy };
    let witness: Stack = input.witness.to_vec();
    let mut stack = Stack::new();
    run(&mut stack, input.script_sig.as_bytes(), base, &mut checker)?;
    let pushed = stack.clone();
    run(&mut stack, out.script_pubkey.as_bytes(), base, &mut checker)?;
    ends_true(&stack)?;
    let mut had_witness = false;
    if out.script_pubkey.is_witness_program() {
        had_witness = true;
        if !input.script_sig.is_empty() {
            return Err(words::MALLEATED);
        }
        witness_program(&witness, &out.script_pubkey, false, policy, &mut checker)?;
        stack.truncate(1);
    }
    if out.script_pubkey.is_p2sh() {
        if !is_push_only(&input.script_sig) {
            return Err(words::PUSH_ONLY);
        }
        stack = pushed;
        let redeem = ScriptBuf::from_bytes(stack.pop().ok_or(words::EVAL_FALSE)?);
        run(&mut stack, redeem.as_bytes(), base, &mut checker)?;
        ends_true(&stack)?;
        if redeem.is_witness_program() {
            had_witness = true;
            // A witness program is 42 bytes at most: one push of as many bytes.
            let mut only = vec![redeem.len() as u8];
            only.extend_from_slice(redeem.as_bytes());
            if input.script_sig.as_bytes() != only {
                return Err(words::MALLEATED_P2SH);
            }
            witness_program(&witness, &redeem, true, policy, &mut checker)?;
            stack.truncate(1);
        }
    }
    if policy && stack.len() != 1 {
        return Err(words::CLEANSTACK);
    }
    if !had_witness && !witness.is_empty() {
        return Err(words::UNEXPECTED);
    }
    Ok(())
}

fn ends_true(stack: &Stack) -> Result<(), ScriptFault> {
    match stack.last() {
        Some(top) if is_true(top) => Ok(()),
        _ => Err(words::EVAL_FALSE),
    }
}

fn witness_program(
    witness: &Stack,
    program: &Script,
    nested: bool,
    policy: bool,
    checker: &mut Checker,
) -> Result<(), ScriptFault> {
    let hash = program.as_bytes().get(2..).unwrap_or_default();
    if program.is_p2wsh() {
        let (script, items) = witness.split_last().ok_or(words::WITNESS_EMPTY)?;
        if sha256::Hash::hash(script).as_byte_array() != hash {
            return Err(words::PROGRAM_MISMATCH);
        }
        return run_witness(items, script, Rules { version: Version::WitnessV0, policy }, checker);
    }
    if program.is_p2wpkh() {
        if witness.len() != 2 {
            return Err(words::PROGRAM_MISMATCH);
        }
        let script = [&[0x76, 0xa9, 0x14], hash, &[0x88, 0xac]].concat();
        return run_witness(witness, &script, Rules { version: Version::WitnessV0, policy }, checker);
    }
    if program.as_bytes().first() == Some(&0) {
        return Err(words::WRONG_LENGTH);
    }
    if program.is_p2tr() && !nested {
        return taproot(witness, hash, policy, checker);
    }
    if policy && (nested || !is_anchor(program)) {
        return Err(words::UPGRADABLE_PROGRAM);
    }
    Ok(())
}

fn taproot(
    witness: &Stack,
    output_key: &[u8],
    policy: bool,
    checker: &mut Checker,
) -> Result<(), ScriptFault> {
    let mut items = witness.as_slice();
    if items.is_empty() {
        return Err(words::WITNESS_EMPTY);
    }
    if let [rest @ .., annex] = items {
        if !rest.is_empty() && annex.first() == Some(&0x50) {
            checker.set_annex(annex);
            items = rest;
        }
    }
    let [items @ .., script, control] = items else {
        let signature = items.first().ok_or(words::WITNESS_EMPTY)?;
        return checker.schnorr(signature, output_key);
    };
    let block = ControlBlock::decode(control).map_err(|_| words::CONTROL_SIZE)?;
    let key = XOnlyPublicKey::from_slice(output_key).map_err(|_| words::PROGRAM_MISMATCH)?;
    let script = Script::from_bytes(script);
    let committed = block.verify_taproot_commitment(
        bitcoin::secp256k1::SECP256K1,
        bitcoin::key::TweakedPublicKey::dangerous_assume_tweaked(key).to_x_only_public_key(),
        script,
    );
    if !committed {
        return Err(words::PROGRAM_MISMATCH);
    }
    if block.leaf_version != LeafVersion::TapScript {
        return if policy { Err(words::UPGRADABLE_LEAF) } else { Ok(()) };
    }
    if machine::has_op_success(script.as_bytes())? {
        return if policy { Err(words::OP_SUCCESS) } else { Ok(()) };
    }
    checker.set_leaf(TapLeafHash::from_script(script, LeafVersion::TapScript));
    run_witness(items, script.as_bytes(), Rules { version: Version::Tapscript, policy }, checker)
}

fn run_witness(
    items: &[Vec<u8>],
    script: &[u8],
    rules: Rules,
    checker: &mut Checker,
) -> Result<(), ScriptFault> {
    if items.iter().any(|item| item.len() > machine::MAX_ITEM) {
        return Err(words::PUSH_SIZE);
    }
    let mut stack = items.to_vec();
    run(&mut stack, script, rules, checker)?;
    if stack.len() != 1 {
        return Err(words::CLEANSTACK);
    }
    ends_true(&stack)
}
