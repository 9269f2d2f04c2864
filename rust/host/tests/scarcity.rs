//! What happens to a model while its host runs out of descriptors. A process of its own: the limit is
//! the whole process's.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::{fs::File, iter};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use support::{ask, assert_serves, collect, fake, prompt, start, within};

#[test]
fn a_model_outlives_a_lack_of_descriptors() {
    within(|| {
        let model = start(fake("")).unwrap();
        assert_serves(&model);
        let usual = getrlimit(Resource::Nofile);
        setrlimit(
            Resource::Nofile,
            Rlimit {
                current: Some(64),
                ..usual
            },
        )
        .unwrap();
        let hog: Vec<File> = iter::from_fn(|| File::open("/dev/null").ok()).collect();
        let pid = i32::try_from(model.pid().unwrap()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
        // More tries than a model has whose worker is at fault, and then the reason.
        let mut brief = prompt("say 2");
        brief.timeout_ms = 1500;
        let error = collect(&model.generate(brief).unwrap()).unwrap_err();
        assert_eq!(error.code(), "worker.not_started");
        assert!(error.to_string().contains("open files"), "{error}");
        assert_eq!(model.restarts(), Ok(0));
        let waits = model.generate(prompt("say 2")).unwrap();
        drop(hog);
        assert_eq!(collect(&waits).unwrap().tokens, 2);
        setrlimit(Resource::Nofile, usual).unwrap();
        assert_eq!(model.restarts(), Ok(1));
        assert_eq!(ask(&model, "say 3").unwrap().tokens, 3);
    });
}
