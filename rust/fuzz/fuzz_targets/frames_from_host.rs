//! Orders, as a worker reads them: never a panic, and what was read can be written again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use strongroom_protocol::{Decoder, MAX_ORDER, Order, frame};

fuzz_target!(|stream: &[u8]| {
    let mut decoder = Decoder::new(stream, MAX_ORDER);
    while let Ok(Some(order)) = decoder.next::<Order>() {
        let mut written = Vec::new();
        frame::encode(&order, MAX_ORDER, &mut written).expect("what was read can be written");
        let mut again = Decoder::new(written.as_slice(), MAX_ORDER);
        let read = again.next::<Order>().expect("what was written can be read");
        // NaN in an order differs from itself; its encoding doesn't.
        let mut twice = Vec::new();
        frame::encode(&read.expect("one order"), MAX_ORDER, &mut twice).expect("as before");
        assert_eq!(written, twice);
    }
});
