//! Fuzz target: any bytes as an onion, and as the payloads in a good one (BOLT 4).

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| leyden_fuzz::onion::run(data));
