//! A worker that locks itself in and is ended before it parses anything.

use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use strongroom_protocol::{Event, Order, Report};

use crate::{
    Config, Death, HostError, Stage, connection::Connection, cores::Cores, isolation, printable,
    process::Process, supervisor,
};

/// Starts a worker with the limits of `config`, and says what it found in force when it had locked
/// itself in. It has no model: the filter for serving, which follows the loading, isn't in force.
///
/// # Errors
/// As [`Model::start`](crate::Model::start), but for what concerns a model.
pub fn rehearse(config: &Config) -> Result<Report, HostError> {
    let machine = isolation::machine(config.isolation)?;
    let not_started = |error: std::io::Error| HostError::not_started(&config.executable, &error);
    let cores = Cores::choose(&machine.cores, config.cores);
    let threads = supervisor::threads(&cores, &machine, None);
    let (mut connection, of_worker) = Connection::pair().map_err(not_started)?;
    let image = strongroom_memory::image::blank().map_err(not_started)?;
    let mut process = Process::spawn(&config.executable, of_worker, image)?;
    let start = supervisor::start(config, &cores, threads);
    // It holds no text that could be too long but the template, which nobody gave.
    let _ = connection.queue(&Order::Start(Box::new(start)));
    connection.flush();
    let said = first_event(config, &process, &mut connection);
    process.kill();
    let death = process.reap();
    match said? {
        Some(Event::Locked(report)) => {
            isolation::check_loading(config.isolation, &report)?;
            Ok(printable::report(report))
        }
        Some(Event::Failed(fault)) => Err(HostError::Refused(printable::fault(&fault))),
        Some(_) => Err(HostError::Worker {
            death: Death::Protocol("a message before Locked"),
            stage: Stage::Locking,
        }),
        None => Err(HostError::Worker {
            death,
            stage: Stage::Locking,
        }),
    }
}

/// `None` where the worker ended without a word.
fn first_event(
    config: &Config,
    process: &Process,
    connection: &mut Connection,
) -> Result<Option<Event>, HostError> {
    let began = Instant::now();
    loop {
        connection.receive();
        match connection.event() {
            Ok(None) if connection.ended_at.is_some() => return Ok(None),
            Ok(None) => {}
            Ok(event) => return Ok(event),
            Err(_) => {
                return Err(HostError::Worker {
                    death: Death::Protocol("a frame that can't be decoded"),
                    stage: Stage::Locking,
                });
            }
        }
        let timeout = config.load_timeout;
        let left = timeout.saturating_sub(began.elapsed());
        if left.is_zero() {
            return Err(HostError::LoadTimeout { timeout });
        }
        let mut fds = [
            PollFd::new(&*connection, PollFlags::IN),
            PollFd::from_borrowed_fd(process.pidfd(), PollFlags::IN),
        ];
        // An interruption or error only makes it look again; a socket whose peer is gone is ready.
        let _ = poll(&mut fds, Timespec::try_from(left).ok().as_ref());
    }
}
