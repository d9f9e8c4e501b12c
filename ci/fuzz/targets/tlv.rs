//! Fuzz target: any bytes as a TLV stream (BOLT 1).

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| leyden_fuzz::tlv::run(data));
