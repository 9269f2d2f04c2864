//! Models in parts: from their headers to the layout of one image.

use strongroom_gguf::{MAX_HEADERS, Part, Refusal, join};
use strongroom_memory::parts::{Head, Layout};

use crate::errors::Error;

/// Bytes of a part that are read at first; most headers end within them.
const FIRST: usize = 1 << 20;

/// Reads the headers of all parts, and joins them.
pub(crate) fn plan(heads: &mut [Head]) -> Result<Layout, Error> {
    let mut left = MAX_HEADERS;
    let mut parts = Vec::with_capacity(heads.len());
    for head in heads {
        parts.push(header(head, left)?);
        left -= head.bytes().len();
    }
    let joined = join(&parts)?;
    let stretches = |part: Vec<strongroom_gguf::Stretch>| {
        let stretches = part.into_iter();
        stretches
            .map(|stretch| (stretch.bytes, stretch.padding))
            .collect()
    };
    Ok(Layout {
        header: joined.header,
        parts: joined.parts.into_iter().map(stretches).collect(),
    })
}

/// Reads on until the header is whole, `most` bytes at most.
fn header(head: &mut Head, most: usize) -> Result<Part, Error> {
    let mut length = FIRST.min(most);
    loop {
        head.read_to(length)?;
        let refusal = match Part::read(head.bytes(), head.size()) {
            Ok(part) => return Ok(part),
            Err(refusal) => refusal,
        };
        let needed = refusal
            .needs()
            .map(|needs| usize::try_from(needs).unwrap_or(usize::MAX));
        length = match needed {
            None => return Err(Error::from(refusal).in_file(head.path())),
            Some(needed) if needed > most => {
                return Err(Error::from(Refusal::headers_too_long()).in_file(head.path()));
            }
            // Doubled, so that all the attempts together take twice as long as the last.
            Some(needed) => needed.max(length.saturating_mul(2)).min(most),
        };
    }
}
