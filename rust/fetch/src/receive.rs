//! From a source to wherever its bytes go, without a file on the way.

use std::sync::Arc;

use tokio::runtime;

use crate::{
    FetchError, Limits, Policy, Progress, Remote, Resolve,
    answer::Answer,
    body::{self, Sink},
    exchange::Asker,
    watch::Watch,
};

/// Receives all of `remote` into `sink`, from the hosts that the policy allows and within the limits.
/// `progress` is called in this thread.
///
/// What was received counts only once this returns well, and nothing proves it: whoever keeps the
/// bytes does. An attempt that failed has nothing to go on with. Must not be called from within an
/// asynchronous runtime.
///
/// # Errors
/// [`FetchError`], and what the sink refuses bytes with.
pub fn receive<S: Sink>(
    remote: &Remote,
    policy: &Policy,
    limits: &Limits,
    resolver: &Arc<dyn Resolve>,
    sink: &mut S,
    progress: Progress<'_>,
) -> Result<(), S::Error> {
    let location = policy.permit(remote)?;
    let mut watch = Watch::new(location.to_string(), limits.total, progress);
    let asker = Asker {
        policy,
        limits,
        resolver,
    };
    let runtime = runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|error| FetchError::no_room(&location, &error))?;
    let received = runtime.block_on(async {
        let exchange = asker.ask(&location, None, &mut watch).await?;
        let Answer::Whole { length, .. } = exchange.answer else {
            // `judge` answers nothing else to a request for the whole, and `ask` follows redirects.
            return Err(FetchError::Protocol {
                url: exchange.url,
                reason: "an answer to another question".to_owned(),
            }
            .into());
        };
        body::receive(exchange, length, sink, limits, &mut watch).await
    });
    // A resolver that never answers holds nobody up.
    runtime.shutdown_background();
    received
}
