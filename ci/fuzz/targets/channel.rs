//! Fuzz target: any bytes as a channel's record.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| leyden_fuzz::channel::run(data));
