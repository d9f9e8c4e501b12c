//! Fuzz target: any bytes as acts and as sealed messages (BOLT 8).

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| leyden_fuzz::transport::run(data));
