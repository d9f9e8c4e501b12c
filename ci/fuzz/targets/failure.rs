//! Fuzz target: any bytes as a failure message and as its way back (BOLT 4).

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| leyden_fuzz::failure::run(data));
