//! Fuzz target: any bytes as the life of three nodes.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| leyden_fuzz::step::run(data));
