//! From a host to a connection with it: every address is judged, and only those are connected to.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use tokio::net::TcpStream;
use url::Host;

use crate::{FetchError, Limits, Origin, Policy, Resolve, error::shown, watch::Watch};

/// Addresses of one host that are tried.
const MOST: usize = 16;

/// Connects to `origin`, if the policy lets it be where it is.
pub(crate) async fn connect(
    origin: &Origin,
    policy: &Policy,
    limits: &Limits,
    resolver: &Arc<dyn Resolve>,
    watch: &mut Watch<'_>,
) -> Result<TcpStream, FetchError> {
    watch
        .within(limits.connect, "connect", async {
            let mut addresses = resolve(origin, resolver).await?;
            // One that may not be reached condemns the host: who answers such a name is after
            // something, and might answer otherwise the next time.
            for &address in &addresses {
                policy.permit_address(origin, address)?;
            }
            addresses.truncate(MOST);
            let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
            for address in addresses {
                let asked = SocketAddr::new(address, origin.port());
                match TcpStream::connect(asked).await {
                    Ok(stream) => return held(stream, asked, origin, policy),
                    Err(error) => failure = error,
                }
            }
            Err(refused(origin, &failure))
        })
        .await?
}

/// Holds the connection to the address that was judged.
fn held(
    stream: TcpStream,
    asked: SocketAddr,
    origin: &Origin,
    policy: &Policy,
) -> Result<TcpStream, FetchError> {
    let peer = stream
        .peer_addr()
        .map_err(|error| refused(origin, &error))?;
    policy.permit_address(origin, peer.ip())?;
    if (peer.ip(), peer.port()) != (asked.ip(), asked.port()) {
        return Err(FetchError::Connect {
            host: origin.host(),
            reason: format!("the connection is with {peer}, not with {asked}"),
        });
    }
    Ok(stream)
}

fn refused(origin: &Origin, error: &io::Error) -> FetchError {
    FetchError::Connect {
        host: origin.host(),
        reason: error.to_string(),
    }
}

async fn resolve(origin: &Origin, resolver: &Arc<dyn Resolve>) -> Result<Vec<IpAddr>, FetchError> {
    let name = match origin.parsed() {
        Host::Ipv4(address) => return Ok(vec![(*address).into()]),
        Host::Ipv6(address) => return Ok(vec![(*address).into()]),
        Host::Domain(name) => name.clone(),
    };
    let failed = |reason: String| FetchError::Resolve {
        host: origin.host(),
        reason,
    };
    let resolver = Arc::clone(resolver);
    // Resolvers block. One that never answers keeps its thread, and nobody waits for it.
    let found = tokio::task::spawn_blocking(move || resolver.resolve(&name))
        .await
        .map_err(|_| failed("the resolver panicked".to_owned()))?
        .map_err(|error| failed(shown(&error.to_string())))?;
    if found.is_empty() {
        return Err(failed("the resolver knows none".to_owned()));
    }
    Ok(found)
}
