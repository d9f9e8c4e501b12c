//! Fuzz target: any bytes as an invoice's text, and as the fields of a signed one (BOLT 11).

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| leyden_fuzz::invoice::run(data));
