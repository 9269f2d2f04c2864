//! Landlock: every right that the kernel knows is handled, and no rule allows any.

use std::io;

use ::landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetError,
    RulesetStatus, Scope,
};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrV4, SocketType};
use strongroom_protocol::{Isolation, Layer, LayerName, LayerState};

use crate::SandboxError;
use crate::error::refused;
use crate::process::in_force;

/// The first version with rights over TCP.
pub(crate) const NETWORK: u32 = 4;
/// The first version with scopes.
pub(crate) const SCOPES: u32 = 6;

/// The kernel's version of Landlock; 0 if there is none.
pub(crate) fn version() -> u32 {
    /// `LANDLOCK_CREATE_RULESET_VERSION` of linux/landlock.h.
    const VERSION: u32 = 1;
    // SAFETY: with this flag the call takes a null pointer and length 0, and makes nothing.
    let version = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<libc::c_void>(),
            0_usize,
            VERSION,
        )
    };
    u32::try_from(version).unwrap_or(0)
}

/// The least version that `isolation` accepts.
pub(crate) const fn needed(isolation: Isolation) -> u32 {
    match isolation {
        Isolation::DangerNone => 0,
        Isolation::Process => 1,
        Isolation::Maximum => SCOPES,
    }
}

/// Restricts this thread, and those it starts, to no right at all.
pub(crate) fn restrict(isolation: Isolation) -> Result<Vec<Layer>, SandboxError> {
    let found = version();
    let needed = needed(isolation);
    if found < needed {
        return Err(SandboxError::LandlockAbsent { needed, found });
    }
    handle_everything(found).map_err(|error| {
        refused(LayerName::LandlockFiles, "landlock_restrict_self")(io::Error::other(error))
    })?;
    files_denied()?;
    if found >= NETWORK {
        network_denied()?;
    }
    if found >= SCOPES {
        signals_denied()?;
    }

    let row = |name, from: u32, detail: &str| {
        if found >= from {
            in_force(name, format!("ABI {found}: {detail}"))
        } else {
            Layer {
                name,
                state: LayerState::Absent,
                detail: format!("needs ABI {from}, the kernel has {found}"),
            }
        }
    };
    Ok(vec![
        row(LayerName::LandlockFiles, 1, "no right to any file"),
        row(LayerName::LandlockNetwork, NETWORK, "no TCP port"),
        row(
            LayerName::LandlockScopes,
            SCOPES,
            "no signal, no abstract socket of others",
        ),
    ])
}

/// Handles what the kernel knows, as far as this version of the crate knows it too. The crate warns
/// against following the kernel's version, because a new right could break what a program does; a
/// worker does nothing that needs any right.
fn handle_everything(version: u32) -> Result<(), RulesetError> {
    let abi = ABI::from(i32::try_from(version).unwrap_or(i32::MAX));
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(abi))?;
    if version >= NETWORK {
        ruleset = ruleset.handle_access(AccessNet::from_all(abi))?;
    }
    if version >= SCOPES {
        ruleset = ruleset.scope(Scope::from_all(abi))?;
    }
    let status = ruleset.create()?.restrict_self()?;
    // Hard requirements leave no other outcome; a debug assertion documents that.
    debug_assert_eq!(status.ruleset, RulesetStatus::FullyEnforced);
    Ok(())
}

/// Reads the layer back: a directory that everyone may list can't be opened.
fn files_denied() -> Result<(), SandboxError> {
    let opened = rustix::fs::open("/", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty());
    expect_denied(LayerName::LandlockFiles, opened.map(drop), Errno::ACCESS)
}

/// Reads the layer back: not even a port of the kernel's choice can be bound.
fn network_denied() -> Result<(), SandboxError> {
    let socket = match rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None) {
        Ok(socket) => socket,
        // A machine without IPv4 has no port to deny.
        Err(Errno::AFNOSUPPORT) => return Ok(()),
        Err(error) => return Err(refused(LayerName::LandlockNetwork, "socket")(error)),
    };
    let any = SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 0);
    let bound = rustix::net::bind(&socket, &any);
    expect_denied(LayerName::LandlockNetwork, bound, Errno::ACCESS)
}

/// Reads the layer back: not even the null signal reaches the parent.
fn signals_denied() -> Result<(), SandboxError> {
    let Some(parent) = rustix::process::getppid() else {
        // The parent is outside our process namespace, out of reach anyway.
        return Ok(());
    };
    let sent = rustix::process::test_kill_process(parent);
    expect_denied(LayerName::LandlockScopes, sent, Errno::PERM)
}

fn expect_denied(
    layer: LayerName,
    outcome: rustix::io::Result<()>,
    expected: Errno,
) -> Result<(), SandboxError> {
    match outcome {
        Err(error) if error == expected => Ok(()),
        other => Err(SandboxError::NotInForce {
            layer,
            found: format!("the kernel answered {other:?} where it must deny"),
        }),
    }
}
