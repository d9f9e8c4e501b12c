//! A small script machine: the opcodes that Lightning, wallets and the usual outputs use, with the rules that only policy has.
//! It decides nothing on its own; see the parent. An opcode that it does not know ends the run with that fact.
use bitcoin::hashes::{hash160, ripemd160, sha1, sha256, sha256d, Hash};

use super::signature::{Checker, Version};
use super::words::{BAD_OPCODE, PUSH_SIZE};
use super::ScriptFault::{self, Core};
use super::Stack;

/// The longest item.
pub const MAX_ITEM: usize = 520;
const MAX_SCRIPT: usize = 10_000;
const MAX_OPS: usize = 201;
const MAX_STACK: usize = 1_000;
const MINIMAL_DATA: ScriptFault = Core("Data push larger than necessary");
const STACK_OPERATION: ScriptFault = Core("Operation not valid with the current stack size");
const NUMBER: ScriptFault = Core("Script number overflowed or is non-minimally encoded");
const NULL_FAIL: ScriptFault = Core("Signature must be zero for failed CHECK(MULTI)SIG operation");
const UNSATISFIED: ScriptFault = Core("Locktime requirement not satisfied");
const NEGATIVE: ScriptFault = Core("Negative locktime");
const UNBALANCED: ScriptFault = Core("Invalid OP_IF construction");
const SEQUENCE_DISABLE: i64 = 1 << 31;
const SEQUENCE_TYPE: i64 = 1 << 22;
const SEQUENCE_MASK: i64 = SEQUENCE_TYPE | 0xffff;
const TIME_THRESHOLD: i64 = 500_000_000;

/// What a script runs under.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The script version.
    pub version: Version,
    /// Also the rules of policy.
    pub policy: bool,
}

/// Core's `CastToBool`: anything but zeros, where minus zero is zero too.
pub fn is_true(item: &[u8]) -> bool {
    match item.split_last() {
        None => false,
        Some((last, rest)) => rest.iter().any(|byte| *byte != 0) || !matches!(last, 0 | 0x80),
    }
}

/// The next opcode and its pushed bytes; `None` if the script ends in the middle.
fn next_op<'s>(script: &'s [u8], at: &mut usize) -> Option<(u8, &'s [u8])> {
    let code = *script.get(*at)?;
    *at += 1;
    let width = match code {
        0x4c => 1,
        0x4d => 2,
        0x4e => 4,
        _ => 0,
    };
    let length = if width == 0 {
        if code < 0x4c {
            usize::from(code)
        } else {
            0
        }
    } else {
        let bytes = script.get(*at..at.checked_add(width)?)?;
        *at += width;
        bytes.iter().rev().fold(0usize, |length, byte| length << 8 | usize::from(*byte))
    };
    let end = at.checked_add(length)?;
    let data = script.get(*at..end)?;
    *at = end;
    Some((code, data))
}

/// Does a tapscript hold an OP_SUCCESS?
pub fn has_op_success(script: &[u8]) -> Result<bool, ScriptFault> {
    let mut at = 0;
    while at < script.len() {
        let (code, _) = next_op(script, &mut at).ok_or(BAD_OPCODE)?;
        let success =
            matches!(code, 80 | 98 | 126..=129 | 131..=134 | 137..=138 | 141..=142 | 149..=153 | 187..=254);
        if success {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_minimal_push(code: u8, data: &[u8]) -> bool {
    match data {
        [] => code == 0,
        [1..=16 | 0x81] => false,
        _ if data.len() <= 75 => usize::from(code) == data.len(),
        _ if data.len() <= 255 => code == 0x4c,
        _ if data.len() <= 65_535 => code == 0x4d,
        _ => true,
    }
}

/// Does the script push exactly this, in the way that a builder would? Old scripts then sign a changed script.
fn holds_push(script: &[u8], data: &[u8]) -> bool {
    let length = data.len();
    let mut push = match length {
        0..=0x4b => vec![length as u8],
        0x4c..=0xff => vec![0x4c, length as u8],
        _ => vec![0x4d, (length & 0xff) as u8, (length >> 8) as u8], // an item is 520 bytes at most
    };
    push.extend_from_slice(data);
    let mut at = 0;
    loop {
        if script.get(at..).is_some_and(|rest| rest.starts_with(&push)) {
            return true;
        }
        if next_op(script, &mut at).is_none() {
            return false;
        }
    }
}

/// Runs a script over a stack.
pub fn run(stack: &mut Stack, script: &[u8], rules: Rules, checker: &mut Checker) -> Result<(), ScriptFault> {
    let old = rules.version != Version::Tapscript;
    if old && script.len() > MAX_SCRIPT {
        return Err(Core("Script is too big"));
    }
    let mut machine = Machine {
        stack,
        alt: Stack::new(),
        branches: Vec::new(),
        ops: 0,
        code_from: 0,
        script,
        rules,
        checker,
    };
    let mut at = 0;
    while at < script.len() {
        let (code, data) = next_op(script, &mut at).ok_or(BAD_OPCODE)?;
        if data.len() > MAX_ITEM {
            return Err(PUSH_SIZE);
        }
        if old && code > 0x60 {
            machine.count_ops(1)?;
        }
        if matches!(code, 0x7e..=0x81 | 0x83..=0x86 | 0x8d | 0x8e | 0x95..=0x99) {
            return Err(Core("Attempted to use a disabled opcode"));
        }
        if code == 0xab && rules.policy && rules.version == Version::Base {
            return Err(Core("Using OP_CODESEPARATOR in non-witness script"));
        }
        let live = machine.branches.iter().all(|taken| *taken);
        if live && code <= 0x4e {
            if rules.policy && !is_minimal_push(code, data) {
                return Err(MINIMAL_DATA);
            }
            machine.stack.push(data.to_vec());
        } else if live || (0x63..=0x68).contains(&code) {
            machine.step(code, live, at)?;
        }
        if machine.stack.len() + machine.alt.len() > MAX_STACK {
            return Err(Core("Stack size limit exceeded"));
        }
    }
    if machine.branches.is_empty() {
        Ok(())
    } else {
        Err(UNBALANCED)
    }
}

struct Machine<'m, 't> {
    stack: &'m mut Stack,
    alt: Stack,
    branches: Vec<bool>,
    ops: usize,
    code_from: usize,
    script: &'m [u8],
    rules: Rules,
    checker: &'m mut Checker<'t>,
}

impl Machine<'_, '_> {
    fn step(&mut self, code: u8, live: bool, at: usize) -> Result<(), ScriptFault> {
        match code {
            0x4f | 0x51..=0x60 => self.push_number(i64::from(code) - 0x50),
            0x61 => Ok(()),
            0x63..=0x68 => self.branch(code, live),
            0x69 => self.verify(Core("Script failed an OP_VERIFY operation")),
            0x6a => Err(Core("OP_RETURN was encountered")),
            0x6b..=0x7d | 0x82 => self.shuffle(code),
            0x87 | 0x88 => self.equal(code),
            0x8b..=0xa5 => self.number(code),
            0xa6..=0xaa => self.hash(code),
            0xab => {
                if self.rules.version == Version::Tapscript {
                    return Err(ScriptFault::UnknownOpcode(code)); // its position would go into the sighash
                }
                self.code_from = at;
                Ok(())
            }
            0xac | 0xad => self.check_signature(code),
            0xae | 0xaf => self.check_multisig(code),
            0xba => self.check_signature_add(),
            0xb1 => self.check_lock_time(),
            0xb2 => self.check_sequence(),
            0xb0 | 0xb3..=0xb9 if self.rules.policy => Err(Core("NOPx reserved for soft-fork upgrades")),
            0xb0 | 0xb3..=0xb9 => Ok(()),
            _ => Err(BAD_OPCODE),
        }
    }

    fn count_ops(&mut self, count: usize) -> Result<(), ScriptFault> {
        self.ops += count;
        if self.ops > MAX_OPS {
            return Err(Core("Operation limit exceeded"));
        }
        Ok(())
    }

    fn pop(&mut self) -> Result<Vec<u8>, ScriptFault> {
        self.stack.pop().ok_or(STACK_OPERATION)
    }

    /// The item that stands `depth` below the top.
    fn peek(&self, depth: usize) -> Result<&[u8], ScriptFault> {
        let at = self.stack.len().checked_sub(depth + 1).ok_or(STACK_OPERATION)?;
        self.stack.get(at).map(Vec::as_slice).ok_or(STACK_OPERATION)
    }

    fn need(&self, count: usize) -> Result<usize, ScriptFault> {
        self.stack.len().checked_sub(count).ok_or(STACK_OPERATION)
    }

    fn push_bool(&mut self, value: bool) {
        self.stack.push(if value { vec![1] } else { Vec::new() });
    }

    fn push_number(&mut self, number: i64) -> Result<(), ScriptFault> {
        let mut left = number.unsigned_abs();
        let mut bytes = Vec::new();
        while left != 0 {
            bytes.push((left & 0xff) as u8);
            left >>= 8;
        }
        match bytes.last_mut() {
            Some(last) if *last & 0x80 != 0 => bytes.push(if number < 0 { 0x80 } else { 0 }),
            Some(last) if number < 0 => *last |= 0x80,
            _ => {}
        }
        self.stack.push(bytes);
        Ok(())
    }

    fn read_number(&self, item: &[u8], longest: usize) -> Result<i64, ScriptFault> {
        if item.len() > longest {
            return Err(NUMBER);
        }
        let Some((last, rest)) = item.split_last() else { return Ok(0) };
        if self.rules.policy && last & 0x7f == 0 && rest.last().is_none_or(|byte| byte & 0x80 == 0) {
            return Err(NUMBER);
        }
        let size = rest.iter().rev().fold(i64::from(last & 0x7f), |sum, byte| sum << 8 | i64::from(*byte));
        Ok(if last & 0x80 != 0 { -size } else { size })
    }

    fn verify(&mut self, fault: ScriptFault) -> Result<(), ScriptFault> {
        if is_true(self.peek(0)?) {
            self.stack.pop();
            Ok(())
        } else {
            Err(fault)
        }
    }

    fn branch(&mut self, code: u8, live: bool) -> Result<(), ScriptFault> {
        match code {
            0x63 | 0x64 => {
                let mut taken = false;
                if live {
                    let item = self.pop()?;
                    let minimal = item.is_empty() || item == [1];
                    match self.rules.version {
                        Version::Tapscript if !minimal => {
                            return Err(Core("OP_IF/NOTIF argument must be minimal in tapscript"))
                        }
                        Version::WitnessV0 if !minimal && self.rules.policy => {
                            return Err(Core("OP_IF/NOTIF argument must be minimal"))
                        }
                        _ => taken = is_true(&item) == (code == 0x63),
                    }
                }
                self.branches.push(taken);
            }
            0x67 => {
                let taken = self.branches.last_mut().ok_or(UNBALANCED)?;
                *taken = !*taken;
            }
            0x68 => {
                self.branches.pop().ok_or(UNBALANCED)?;
            }
            _ => return Err(BAD_OPCODE),
        }
        Ok(())
    }

    fn shuffle(&mut self, code: u8) -> Result<(), ScriptFault> {
        match code {
            0x6b => {
                let item = self.pop()?;
                self.alt.push(item);
            }
            0x6c => {
                let item = self.alt.pop();
                self.stack.push(item.ok_or(Core("Operation not valid with the current altstack size"))?);
            }
            0x6d => {
                let from = self.need(2)?;
                self.stack.truncate(from);
            }
            0x6e => self.copy_top(2)?,
            0x6f => self.copy_top(3)?,
            0x73 => {
                if is_true(self.peek(0)?) {
                    self.copy_top(1)?;
                }
            }
            0x74 => self.push_number(self.stack.len() as i64)?,
            0x75 => {
                self.pop()?;
            }
            0x76 => self.copy_top(1)?,
            0x77 => {
                let at = self.need(2)?;
                self.stack.remove(at);
            }
            0x78 => {
                let item = self.peek(1)?.to_vec();
                self.stack.push(item);
            }
            0x7b => {
                let at = self.need(3)?;
                let item = self.stack.remove(at);
                self.stack.push(item);
            }
            0x7c => {
                let at = self.need(2)?;
                self.stack.swap(at, at + 1);
            }
            0x7d => {
                let at = self.need(2)?;
                let item = self.peek(0)?.to_vec();
                self.stack.insert(at, item);
            }
            0x82 => self.push_number(self.peek(0)?.len() as i64)?,
            _ => return Err(ScriptFault::UnknownOpcode(code)),
        }
        Ok(())
    }

    fn copy_top(&mut self, count: usize) -> Result<(), ScriptFault> {
        let from = self.need(count)?;
        self.stack.extend_from_within(from..);
        Ok(())
    }

    fn equal(&mut self, code: u8) -> Result<(), ScriptFault> {
        self.need(2)?;
        let same = self.pop()? == self.pop()?;
        self.push_bool(same);
        if code == 0x88 {
            self.verify(Core("Script failed an OP_EQUALVERIFY operation"))?;
        }
        Ok(())
    }

    fn number(&mut self, code: u8) -> Result<(), ScriptFault> {
        if (0x8b..=0x92).contains(&code) {
            let number = self.read_number(self.peek(0)?, 4)?;
            self.pop()?;
            return self.push_number(match code {
                0x8b => number + 1,
                0x8c => number - 1,
                0x8f => -number,
                0x90 => number.abs(),
                0x91 => i64::from(number == 0),
                _ => i64::from(number != 0),
            });
        }
        if code == 0xa5 {
            return Err(ScriptFault::UnknownOpcode(code));
        }
        let (left, right) = (self.read_number(self.peek(1)?, 4)?, self.read_number(self.peek(0)?, 4)?);
        self.pop()?;
        self.pop()?;
        self.push_number(match code {
            0x93 => left + right,
            0x94 => left - right,
            0x9a => i64::from(left != 0 && right != 0),
            0x9b => i64::from(left != 0 || right != 0),
            0x9c | 0x9d => i64::from(left == right),
            0x9e => i64::from(left != right),
            0x9f => i64::from(left < right),
            0xa0 => i64::from(left > right),
            0xa1 => i64::from(left <= right),
            0xa2 => i64::from(left >= right),
            0xa3 => left.min(right),
            0xa4 => left.max(right),
            _ => return Err(BAD_OPCODE),
        })?;
        if code == 0x9d {
            self.verify(Core("Script failed an OP_NUMEQUALVERIFY operation"))?;
        }
        Ok(())
    }

    fn hash(&mut self, code: u8) -> Result<(), ScriptFault> {
        let item = self.pop()?;
        self.stack.push(match code {
            0xa6 => ripemd160::Hash::hash(&item).to_byte_array().to_vec(),
            0xa7 => sha1::Hash::hash(&item).to_byte_array().to_vec(),
            0xa8 => sha256::Hash::hash(&item).to_byte_array().to_vec(),
            0xa9 => hash160::Hash::hash(&item).to_byte_array().to_vec(),
            _ => sha256d::Hash::hash(&item).to_byte_array().to_vec(),
        });
        Ok(())
    }

    fn code(&self) -> Vec<u8> {
        self.script.get(self.code_from..).unwrap_or_default().to_vec()
    }

    fn refuse_signature_in_code(&self, signature: &[u8], code: &[u8]) -> Result<(), ScriptFault> {
        if self.rules.version == Version::Base && self.rules.policy && holds_push(code, signature) {
            return Err(Core("Signature is found in scriptCode"));
        }
        Ok(())
    }

    fn one_signature(&mut self, signature: &[u8], key: &[u8]) -> Result<bool, ScriptFault> {
        if self.rules.version == Version::Tapscript {
            return match key.len() {
                0 => Err(Core("Empty public key in tapscript")),
                32 if signature.is_empty() => Ok(false),
                32 => self.checker.schnorr(signature, key).map(|()| true),
                _ if self.rules.policy => Err(Core("Public key version reserved for soft-fork upgrades")),
                _ => Ok(!signature.is_empty()),
            };
        }
        let code = self.code();
        self.refuse_signature_in_code(signature, &code)?;
        self.checker.encodings(signature, key, self.rules.version)?;
        let valid = self.checker.ecdsa(signature, key, &code, self.rules.version);
        if !valid && self.rules.policy && !signature.is_empty() {
            return Err(NULL_FAIL);
        }
        Ok(valid)
    }

    fn check_signature(&mut self, code: u8) -> Result<(), ScriptFault> {
        self.need(2)?;
        let key = self.pop()?;
        let signature = self.pop()?;
        let valid = self.one_signature(&signature, &key)?;
        self.push_bool(valid);
        if code == 0xad {
            self.verify(Core("Script failed an OP_CHECKSIGVERIFY operation"))?;
        }
        Ok(())
    }

    fn check_signature_add(&mut self) -> Result<(), ScriptFault> {
        if self.rules.version != Version::Tapscript {
            return Err(BAD_OPCODE);
        }
        self.need(3)?;
        let count = self.read_number(self.peek(1)?, 4)?;
        let key = self.pop()?;
        self.pop()?;
        let signature = self.pop()?;
        let valid = self.one_signature(&signature, &key)?;
        self.push_number(count + i64::from(valid))
    }

    fn check_multisig(&mut self, code: u8) -> Result<(), ScriptFault> {
        if self.rules.version == Version::Tapscript {
            return Err(Core("OP_CHECKMULTISIG(VERIFY) is not available in tapscript"));
        }
        let total = self.read_number(self.peek(0)?, 4)?;
        let total = usize::try_from(total).ok().filter(|total| *total <= 20);
        let total = total.ok_or(Core("Pubkey count negative or limit exceeded"))?;
        self.count_ops(total)?;
        let required = self.read_number(self.peek(total + 1)?, 4)?;
        let required = usize::try_from(required).ok().filter(|required| *required <= total);
        let required = required.ok_or(Core("Signature count negative or greater than pubkey count"))?;
        self.need(total + required + 3)?; // with the dummy
                                          // Both from the top of the stack down, as Core compares them.
        let keys: Vec<Vec<u8>> =
            (0..total).map(|n| self.peek(1 + n).map(<[u8]>::to_vec)).collect::<Result<_, _>>()?;
        let signatures: Vec<Vec<u8>> =
            (0..required).map(|n| self.peek(2 + total + n).map(<[u8]>::to_vec)).collect::<Result<_, _>>()?;
        let script_code = self.code();
        signatures.iter().try_for_each(|signature| self.refuse_signature_in_code(signature, &script_code))?;
        let mut next = 0;
        for (tried, key) in keys.iter().enumerate() {
            let Some(signature) = signatures.get(next) else { break };
            if signatures.len() - next > keys.len() - tried {
                break;
            }
            self.checker.encodings(signature, key, self.rules.version)?;
            if self.checker.ecdsa(signature, key, &script_code, self.rules.version) {
                next += 1;
            }
        }
        let valid = next == signatures.len();
        if !valid && self.rules.policy && signatures.iter().any(|signature| !signature.is_empty()) {
            return Err(NULL_FAIL);
        }
        self.stack.truncate(self.need(total + required + 2)?);
        if !self.pop()?.is_empty() {
            return Err(Core("Dummy CHECKMULTISIG argument must be zero"));
        }
        self.push_bool(valid);
        if code == 0xaf {
            self.verify(Core("Script failed an OP_CHECKMULTISIGVERIFY operation"))?;
        }
        Ok(())
    }

    fn check_lock_time(&mut self) -> Result<(), ScriptFault> {
        let asked = self.read_number(self.peek(0)?, 5)?;
        if asked < 0 {
            return Err(NEGATIVE);
        }
        let has = i64::from(self.checker.tx.lock_time.to_consensus_u32());
        let input = self.checker.tx.input.get(self.checker.index).ok_or(UNSATISFIED)?;
        let same_kind = (asked < TIME_THRESHOLD) == (has < TIME_THRESHOLD);
        if !same_kind || asked > has || input.sequence.0 == u32::MAX {
            return Err(UNSATISFIED);
        }
        Ok(())
    }

    fn check_sequence(&mut self) -> Result<(), ScriptFault> {
        let asked = self.read_number(self.peek(0)?, 5)?;
        if asked < 0 {
            return Err(NEGATIVE);
        }
        if asked & SEQUENCE_DISABLE != 0 {
            return Ok(());
        }
        let input = self.checker.tx.input.get(self.checker.index).ok_or(UNSATISFIED)?;
        let has = i64::from(input.sequence.0);
        if (self.checker.tx.version.0 as u32) < 2 || has & SEQUENCE_DISABLE != 0 {
            return Err(UNSATISFIED);
        }
        let (asked, has) = (asked & SEQUENCE_MASK, has & SEQUENCE_MASK);
        if (asked < SEQUENCE_TYPE) != (has < SEQUENCE_TYPE) || asked > has {
            return Err(UNSATISFIED);
        }
        Ok(())
    }
}
