//! What the isolation requires, of the machine and of a worker.

use std::fs;

use strongroom_protocol::{Isolation, LayerName, LayerState, Report};
use strongroom_sandbox::Machine;

use crate::HostError;

/// The machine, if it can give `isolation`.
pub(crate) fn machine(isolation: Isolation) -> Result<Machine, HostError> {
    let machine = strongroom_sandbox::probe();
    match strongroom_sandbox::require(isolation, &machine) {
        Ok(()) => Ok(machine),
        Err(error) => Err(HostError::Isolation {
            code: error.code(),
            message: error.to_string(),
            next_step: error.next_step().to_owned(),
        }),
    }
}

/// Whether `isolation` requires `layer`.
const fn requires(isolation: Isolation, layer: LayerName) -> bool {
    match isolation {
        Isolation::DangerNone => false,
        Isolation::Process => !matches!(
            layer,
            LayerName::LandlockNetwork | LayerName::LandlockScopes
        ),
        Isolation::Maximum => true,
    }
}

/// Holds a worker's report to `isolation`; while it loads, before its second filter is in force.
pub(crate) fn check_loading(isolation: Isolation, report: &Report) -> Result<(), HostError> {
    check(isolation, report, |layer| layer != LayerName::SeccompServe)
}

/// Holds the report of a worker that is ready to `isolation`.
pub(crate) fn check_serving(isolation: Isolation, report: &Report) -> Result<(), HostError> {
    check(isolation, report, |_| true)
}

fn check(
    isolation: Isolation,
    report: &Report,
    concerned: impl Fn(LayerName) -> bool,
) -> Result<(), HostError> {
    let missing = LayerName::ALL.into_iter().find(|&name| {
        concerned(name)
            && requires(isolation, name)
            && !report
                .layers
                .iter()
                .any(|layer| layer.name == name && layer.state == LayerState::InForce)
    });
    missing.map_or(Ok(()), |name| Err(HostError::Layer(name)))
}

/// Asks the kernel, not the worker: no new privileges, and the filters of seccomp.
pub(crate) fn check_kernel(isolation: Isolation, pid: u32) -> Result<(), HostError> {
    if isolation == Isolation::DangerNone {
        return Ok(());
    }
    let status = |pid: &str| match fs::read_to_string(format!("/proc/{pid}/status")) {
        Ok(text) => Ok(text),
        // Without the file nothing is shown to be in force.
        Err(error) => HostError::exhausted(&error).map_or_else(|| Ok(String::new()), Err),
    };
    check_status(&status(&pid.to_string())?, &status("self")?)
}

fn check_status(worker: &str, host: &str) -> Result<(), HostError> {
    let field = |name| field(worker, name);
    if field("NoNewPrivs") != Some(1) {
        return Err(HostError::Layer(LayerName::NoNewPrivileges));
    }
    // 2 is SECCOMP_MODE_FILTER.
    if field("Seccomp") != Some(2) {
        return Err(HostError::Layer(LayerName::SeccompLoad));
    }
    // Counted since Linux 5.9: two more than it inherited.
    let inherited = self::field(host, "Seccomp_filters").unwrap_or_default();
    if field("Seccomp_filters").is_some_and(|filters| filters < inherited.saturating_add(2)) {
        return Err(HostError::Layer(LayerName::SeccompServe));
    }
    Ok(())
}

/// A number of `/proc/PID/status` (proc(5)).
fn field(status: &str, name: &str) -> Option<u32> {
    status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .and_then(|value| value.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use strongroom_protocol::Layer;

    use super::*;

    fn report(state: impl Fn(LayerName) -> LayerState) -> Report {
        Report {
            layers: LayerName::ALL
                .map(|name| Layer {
                    name,
                    state: state(name),
                    detail: String::new(),
                })
                .to_vec(),
        }
    }

    #[test]
    fn each_required_layer_is_missed_by_name() {
        for isolation in [Isolation::Process, Isolation::Maximum] {
            for missing in LayerName::ALL {
                for state in [LayerState::Absent, LayerState::Off] {
                    let report = report(|name| match name {
                        name if name == missing => state,
                        _ => LayerState::InForce,
                    });
                    let optional = isolation == Isolation::Process
                        && [LayerName::LandlockNetwork, LayerName::LandlockScopes]
                            .contains(&missing);
                    let expected = if optional {
                        Ok(())
                    } else {
                        Err(HostError::Layer(missing))
                    };
                    assert_eq!(check_serving(isolation, &report), expected);
                }
            }
        }
    }

    #[test]
    fn a_row_that_is_not_there_is_a_layer_that_is_not_there() {
        let mut report = report(|_| LayerState::InForce);
        report
            .layers
            .retain(|layer| layer.name != LayerName::SeccompServe);
        assert_eq!(check_loading(Isolation::Maximum, &report), Ok(()));
        assert_eq!(
            check_serving(Isolation::Maximum, &report),
            Err(HostError::Layer(LayerName::SeccompServe))
        );
    }

    #[test]
    fn nothing_is_required_where_danger_is_named() {
        let nothing = Report::default();
        assert_eq!(check_serving(Isolation::DangerNone, &nothing), Ok(()));
        assert_eq!(check_kernel(Isolation::DangerNone, 0), Ok(()));
    }

    #[test]
    fn the_kernel_has_the_last_word() {
        let status = |privileges, seccomp, filters| {
            format!(
                "Name:\tx\nNoNewPrivs:\t{privileges}\nSeccomp:\t{seccomp}\nSeccomp_filters:\t{filters}\n"
            )
        };
        let alone = status(0, 0, 0);
        let confined = status(1, 2, 1);
        assert_eq!(check_status(&status(1, 2, 2), &alone), Ok(()));
        assert_eq!(check_status(&status(1, 2, 3), &confined), Ok(()));
        assert_eq!(
            check_status(&status(1, 2, 2), &confined),
            Err(HostError::Layer(LayerName::SeccompServe)),
            "one of the two was inherited"
        );
        assert_eq!(
            check_status("NoNewPrivs:\t1\nSeccomp:\t2\n", ""),
            Ok(()),
            "a kernel that doesn't count"
        );
        for (text, layer) in [
            (status(0, 2, 2), LayerName::NoNewPrivileges),
            (status(1, 0, 2), LayerName::SeccompLoad),
            (status(1, 1, 2), LayerName::SeccompLoad),
            (status(1, 2, 1), LayerName::SeccompServe),
            (String::new(), LayerName::NoNewPrivileges),
        ] {
            assert_eq!(check_status(&text, &alone), Err(HostError::Layer(layer)));
        }
    }

    #[test]
    fn a_process_that_is_gone_shows_nothing_in_force() {
        let error = check_kernel(Isolation::Process, u32::MAX).unwrap_err();
        assert_eq!(error.code(), "sandbox.unavailable");
    }
}
