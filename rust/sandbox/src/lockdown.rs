//! The steps by which a worker locks itself in.

use std::marker::PhantomData;

use strongroom_protocol::{Isolation, Layer, LayerName, LayerState, Limits, Report};

use crate::{SandboxError, cores, descriptors, environment, landlock, limits, process, seccomp};

/// The process's own attributes and limits hold. Next: [`Lockdown::landlock`].
#[derive(Debug)]
pub struct Entered;
/// Landlock holds. Next: start the threads, then [`Lockdown::processes`].
#[derive(Debug)]
pub struct Fenced;
/// No further process or thread. Next: [`Lockdown::seccomp_load`].
#[derive(Debug)]
pub struct Alone;
/// The allow-list for loading holds. Next: load, then [`Lockdown::seccomp_serve`].
#[derive(Debug)]
pub struct Loading;
/// The allow-list for serving holds.
#[derive(Debug)]
pub struct Serving;

/// How far this process is locked in, and the rows of its report.
#[derive(Debug)]
pub struct Lockdown<Stage> {
    isolation: Isolation,
    report: Report,
    stage: PhantomData<Stage>,
}

/// The first step: everything that concerns the process itself, before it reads anything but its
/// orders. Closes every descriptor from 5 upwards, whoever owns it, so it runs before anything
/// else is opened.
///
/// With [`Isolation::DangerNone`] every layer is reported as off, and only one thing is done: the
/// process asks to die with its host, whose children may hold the socket open after it.
///
/// # Errors
/// [`SandboxError`]; the process is then in an undefined stage and must end.
pub fn enter(limits: &Limits, isolation: Isolation) -> Result<Lockdown<Entered>, SandboxError> {
    let mut report = Report::default();
    if isolation == Isolation::DangerNone {
        process::die_with_parent()?;
        for name in LayerName::ALL {
            let detail = match name {
                LayerName::ParentDeath => {
                    "isolation is danger-none: SIGKILL is set, but could be undone"
                }
                _ => "isolation is danger-none",
            };
            report.layers.push(Layer {
                name,
                state: LayerState::Off,
                detail: detail.to_owned(),
            });
        }
    } else {
        process::single_threaded()?;
        report.layers.push(process::no_new_privileges()?);
        report.layers.push(process::not_dumpable()?);
        report.layers.push(process::die_with_parent()?);
        process::default_signals()?;
        report.layers.push(environment::clear()?);
        report.layers.push(descriptors::close_others()?);
        report.layers.extend(limits::set(limits)?);
        report.layers.push(cores::pin(&limits.cores)?);
    }
    Ok(Lockdown {
        isolation,
        report,
        stage: PhantomData,
    })
}

impl<Stage> Lockdown<Stage> {
    /// What is in force so far, read back from the kernel where it can be.
    pub const fn report(&self) -> &Report {
        &self.report
    }

    fn advance<Next>(
        mut self,
        step: impl FnOnce(Isolation) -> Result<Vec<Layer>, SandboxError>,
    ) -> Result<Lockdown<Next>, SandboxError> {
        if self.isolation != Isolation::DangerNone {
            self.report.layers.extend(step(self.isolation)?);
        }
        Ok(Lockdown {
            isolation: self.isolation,
            report: self.report,
            stage: PhantomData,
        })
    }
}

impl Lockdown<Entered> {
    /// Gives up the file system, and the network and other processes as far as the kernel's
    /// Landlock reaches, and the making of descriptors. Before any other thread is started:
    /// Landlock's domain is the thread's.
    ///
    /// # Errors
    /// [`SandboxError::Threads`], [`SandboxError::LandlockAbsent`], [`SandboxError::Refused`],
    /// [`SandboxError::NotInForce`].
    pub fn landlock(self) -> Result<Lockdown<Fenced>, SandboxError> {
        self.advance(|isolation| {
            process::single_threaded()?;
            let mut layers = landlock::restrict(isolation)?;
            layers.push(limits::files()?);
            Ok(layers)
        })
    }
}

impl Lockdown<Fenced> {
    /// No process and no thread from here on. (The kernel exempts root; seccomp doesn't.)
    ///
    /// # Errors
    /// [`SandboxError::Refused`], [`SandboxError::NotInForce`].
    pub fn processes(self) -> Result<Lockdown<Alone>, SandboxError> {
        self.advance(|_| Ok(vec![limits::processes()?]))
    }
}

impl Lockdown<Alone> {
    /// The allow-list for loading, on every thread.
    ///
    /// # Errors
    /// [`SandboxError::SeccompAbsent`], [`SandboxError::Refused`], [`SandboxError::NotInForce`].
    pub fn seccomp_load(self) -> Result<Lockdown<Loading>, SandboxError> {
        self.advance(|_| Ok(vec![seccomp::load()?]))
    }
}

impl Lockdown<Loading> {
    /// The smaller allow-list for serving, on every thread and on top of the first.
    ///
    /// # Errors
    /// [`SandboxError::Refused`], [`SandboxError::NotInForce`].
    pub fn seccomp_serve(self) -> Result<Lockdown<Serving>, SandboxError> {
        self.advance(|_| Ok(vec![seccomp::serve()?]))
    }
}
