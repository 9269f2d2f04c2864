//! From a host's name to its addresses.

use std::{
    io,
    net::{IpAddr, ToSocketAddrs},
};

/// Looks up a host's addresses. It is asked once for each connection, and what it answers is what
/// is connected to.
pub trait Resolve: Send + Sync {
    /// The addresses of a host that isn't an address itself. May block.
    ///
    /// # Errors
    /// Where the name has none.
    fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The system's resolver.
#[derive(Debug, Clone, Copy)]
pub struct System;

impl Resolve for System {
    fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        Ok((host, 0)
            .to_socket_addrs()?
            .map(|address| address.ip())
            .collect())
    }
}
