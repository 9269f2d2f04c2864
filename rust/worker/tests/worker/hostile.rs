//! Hostile images, past preflight: whatever the file does, the worker refuses it or ends in a way
//! that the host can name.

use std::os::unix::process::ExitStatusExt;

use strongroom_protocol::{Event, ExitCode, Order};
use strongroom_specimen::{Family, Vocabulary, draft, flips, hostile, tiny};

use crate::rig::{Worker, generate, start};

/// Loads `image`, asks for a few tokens and says how it ended.
fn fate(image: &[u8]) -> String {
    let mut worker = Worker::spawn(image);
    let mut limits = start();
    limits.limits.load_cpu_seconds = 10;
    limits.limits.address_space = 1_000_000_000;
    worker.send(&Order::Start(Box::new(limits)));
    while let Some(event) = worker.try_next() {
        match event {
            Event::Ready(_) => worker.send(&generate(1, "hello grüße <|im_end|>", 4)),
            Event::Failed(fault) => {
                assert_eq!(worker.exit_code(), ExitCode::Failed as i32);
                return fault.code.as_str().to_owned();
            }
            Event::Finished(_) => {
                worker.close();
                assert_eq!(worker.exit_code(), ExitCode::Clean as i32);
                return "answered".to_owned();
            }
            Event::Refused { fault, .. } => return fault.code.as_str().to_owned(),
            _ => {}
        }
    }
    let status = worker.wait();
    if let Some(code) = status.code() {
        return format!("exit {:?}", ExitCode::from_raw(code).unwrap());
    }
    // A crash of llama.cpp, or the limit of processor time. SIGSYS would mean that loading needs a
    // call that the sandbox forbids; SIGKILL that somebody else ended it.
    let signal = status.signal().unwrap();
    assert!(
        [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGXCPU].contains(&signal),
        "signal {signal}"
    );
    format!("signal {signal}")
}

#[test]
fn every_hand_made_fault_ends_in_a_known_way() {
    for file in hostile() {
        let fate = fate(&file.bytes);
        println!("{}: {fate}", file.name);
    }
}

/// `STRONGROOM_FLIPS` asks for more, and `STRONGROOM_SEED` for others; `make fuzz` does.
#[test]
fn two_hundred_flips_end_in_a_known_way() {
    let asked = |name| std::env::var(name).ok();
    let count: usize = asked("STRONGROOM_FLIPS").map_or(200, |count| count.parse().unwrap());
    let seed: u64 = asked("STRONGROOM_SEED").map_or(2026, |seed| seed.parse().unwrap());
    let image = tiny(Vocabulary::Spm);
    let header = draft(Family::Llama, Vocabulary::Spm).header().len();
    let mut answered = 0;
    // Most of them in the header: what weights say can't do much.
    for flip in
        flips(seed, count - count / 5, header).chain(flips(seed + 1, count / 5, image.len()))
    {
        let mut bytes = image.clone();
        flip.apply(&mut bytes);
        let fate = fate(&bytes);
        println!("{flip:?}: {fate}");
        answered += u32::from(fate == "answered");
    }
    assert!(answered > 0);
}
