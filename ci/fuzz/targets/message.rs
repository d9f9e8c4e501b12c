//! Fuzz target: any bytes as one message of the wire (BOLT 1, 2).

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| leyden_fuzz::message::run(data));
