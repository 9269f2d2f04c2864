//! Small files that are read whole: keys, certificates, signatures.

use std::path::Path;

use strongroom_memory::{Source, SourceError};
use zeroize::Zeroizing;

/// The bytes of the file at `path`, and no more than one beyond `longest`: whoever parses them then
/// refuses them by its own rule. They are wiped, as they may be a key.
pub(crate) fn read(path: &Path, longest: usize) -> Result<Zeroizing<Vec<u8>>, SourceError> {
    let mut source = Source::open(path)?;
    let size = usize::try_from(source.size()).unwrap_or(usize::MAX);
    let mut bytes = Zeroizing::new(vec![0; size.min(longest.saturating_add(1))]);
    let filled = source.fill(&mut bytes)?;
    bytes.truncate(filled);
    Ok(bytes)
}
