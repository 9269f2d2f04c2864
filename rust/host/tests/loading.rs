//! A worker that doesn't become ready, and says or does something else instead.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::{fs, ops::ControlFlow, time::Duration};

use strongroom_host::{Config, HostError, Model};
use strongroom_protocol::{Isolation, LayerName, LayerState};
use support::{assert_serves, fake, image_of, path, start, within};

fn refused(config: Config) -> HostError {
    within(|| start(config).unwrap_err())
}

#[test]
fn what_a_worker_does_before_it_is_ready() {
    for (script, code, words) in [
        ("exit 3", "worker.exited", "exit code 3 while it locked"),
        ("exit 64", "worker.exited", "64"),
        ("exit 72", "worker.out_of_memory", "memory"),
        ("signal KILL", "worker.killed", "SIGKILL while it locked"),
        ("exit-loading 71", "worker.aborted", "while it loaded"),
        ("garbage", "worker.protocol", "decoded"),
        ("ready-first", "worker.protocol", "before Locked"),
        ("began-first", "worker.protocol", "doesn't hold"),
        ("locked-twice", "worker.protocol", "Locked twice"),
        ("long-context", "worker.protocol", "context"),
        ("half", "worker.protocol", "not ended"),
    ] {
        let error = refused(fake(script));
        assert_eq!(error.code(), code, "{script}: {error}");
        assert!(error.to_string().contains(words), "{script}: {error}");
    }
}

#[test]
fn a_worker_that_is_never_ready_is_killed() {
    for script in ["mute", "late"] {
        let mut config = fake(script);
        config.load_timeout = Duration::from_millis(100);
        let error = refused(config);
        assert_eq!(error.code(), "load.timeout", "{script}: {error}");
    }
}

#[test]
fn what_a_worker_refuses_is_passed_on_made_printable() {
    let error = refused(fake("refused"));
    assert_eq!(error.code(), "load.refused");
    let text = error.to_string();
    assert!(text.starts_with("not \\u{1b}[31ma model\\n"), "{text}");
    assert!(text.len() <= 512);
}

#[test]
fn a_caller_can_give_up_while_a_model_loads() {
    within(|| {
        let mut asked = 0;
        let mut go_on = || {
            asked += 1;
            if asked == 2 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let image = image_of("give-up", b"x");
        let error = Model::start_while(&image, fake("late"), &mut go_on).unwrap_err();
        assert_eq!(error.code(), "load.cancelled");
        assert_eq!(asked, 2);
    });
}

#[test]
fn a_layer_that_a_worker_does_not_report_is_missed() {
    for layer in LayerName::ALL {
        let mut config = fake(&format!("absent {}", layer.as_str()));
        config.isolation = Isolation::Process;
        let error = refused(config);
        assert_eq!(error.code(), "sandbox.unavailable", "{layer:?}");
        let optional = [LayerName::LandlockNetwork, LayerName::LandlockScopes].contains(&layer);
        if !optional {
            assert!(error.to_string().contains(layer.as_str()), "{error}");
        }
    }
}

#[test]
fn a_worker_that_reports_what_the_kernel_denies_is_not_believed() {
    let mut config = fake("");
    config.isolation = Isolation::Process;
    let error = refused(config);
    assert_eq!(error, HostError::Layer(LayerName::NoNewPrivileges));
    assert_eq!(error.code(), "sandbox.unavailable");
}

#[test]
fn danger_is_reported_and_its_words_are_printable() {
    within(|| {
        let model = start(fake("")).unwrap();
        let report = model.report().unwrap();
        assert_eq!(report.layers.len(), LayerName::ALL.len());
        for layer in report.layers {
            assert_eq!(layer.state, LayerState::Off);
            assert_eq!(layer.detail, "said \\u{7}by a fake");
        }
        assert_eq!(model.ready().unwrap().context_length, 256);
    });
}

#[test]
fn an_abort_while_it_locks_in_is_for_memory_only_where_that_is_scarce() {
    for (script, isolation, address_space, code) in [
        (
            "exit 71",
            Isolation::Process,
            15 << 20,
            "worker.out_of_memory",
        ),
        ("exit 71", Isolation::Process, 8 << 30, "worker.aborted"),
        // Without a limit, and with the image read.
        ("exit 71", Isolation::DangerNone, 15 << 20, "worker.aborted"),
        (
            "exit-loading 71",
            Isolation::Process,
            15 << 20,
            "worker.aborted",
        ),
    ] {
        let mut config = fake(script);
        config.isolation = isolation;
        config.address_space = address_space;
        assert_eq!(
            refused(config).code(),
            code,
            "{script} {isolation:?} {address_space}"
        );
    }
}

#[test]
fn an_executable_that_cannot_be_started() {
    let text = path("not-executable");
    fs::write(&text, "not a program").unwrap();
    let mut config = fake("");
    config.executable.clone_from(&text);
    let error = refused(config);
    assert_eq!(error.code(), "worker.not_started");
    assert!(error.to_string().contains("not-executable"), "{error}");
    let mut config = fake("");
    config.executable = env!("CARGO_TARGET_TMPDIR").into();
    assert_eq!(refused(config).code(), "worker.not_started");
    fs::remove_file(&text).unwrap();
    let mut config = fake("");
    config.executable = text;
    assert_eq!(refused(config).code(), "worker.not_started");
}

#[test]
fn an_executable_that_is_no_worker() {
    let mut config = fake("");
    config.executable = "/bin/true".into();
    let error = refused(config);
    assert_eq!(error.code(), "worker.exited");
}

#[test]
fn settings_that_no_worker_could_have() {
    let mut config = fake("");
    config.concurrent_requests = 0;
    assert_eq!(refused(config).code(), "option.out_of_range");
    let mut config = fake("");
    config.cores = 0;
    assert_eq!(refused(config).code(), "option.out_of_range");
    // More template than a frame holds.
    let error = refused(fake(&"x".repeat(33 << 20)));
    assert_eq!(error.code(), "option.out_of_range");
    assert!(error.to_string().contains("chat_template"));
}

#[test]
fn times_that_the_clock_cannot_express_are_none() {
    within(|| {
        let mut config = fake("");
        config.load_timeout = Duration::MAX;
        config.grace = Duration::MAX;
        let model = start(config).unwrap();
        assert_serves(&model);
    });
}
