//! Events, as the host reads them from a worker that may be anybody's: never a panic, and it makes
//! no difference in what pieces they arrive.

#![no_main]

use libfuzzer_sys::fuzz_target;
use strongroom_protocol::{Buffer, Decoder, Event, MAX_EVENT};

fuzz_target!(|stream: &[u8]| {
    let mut decoder = Decoder::new(stream, MAX_EVENT);
    let mut whole = Vec::new();
    while let Ok(Some(event)) = decoder.next::<Event>() {
        whole.push(format!("{event:?}"));
    }

    let mut buffer = Buffer::new(MAX_EVENT);
    let mut pieces = Vec::new();
    'stream: for piece in stream.chunks(7) {
        buffer.extend(piece);
        loop {
            match buffer.next::<Event>() {
                Ok(Some(event)) => pieces.push(format!("{event:?}")),
                Ok(None) => break,
                Err(_) => break 'stream,
            }
        }
    }
    assert_eq!(whole, pieces);
});
