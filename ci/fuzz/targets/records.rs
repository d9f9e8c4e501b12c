//! Fuzz target: any bytes as a node's records.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| leyden_fuzz::records::run(data));
