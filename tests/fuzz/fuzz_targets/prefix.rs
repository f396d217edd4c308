//! libFuzzer over `lb_tests::fuzz::prefix`, where the claims are.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| lb_tests::fuzz::prefix(input));
