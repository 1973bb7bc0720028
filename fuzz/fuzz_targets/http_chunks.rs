#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_fuzzing::fuzz_http_chunks(data));
