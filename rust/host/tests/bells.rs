//! Readers are woken once for all that one step of the worker brought, and nobody waits for a slow one.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use strongroom_host::{Bell, HostError, Model, Stream, Update};
use support::{collect, fake, prompt, start, within};

const STEPS: u32 = 50;
const STREAMS: usize = 16;

fn is_readable(bell: &Bell) -> bool {
    let mut fds = [PollFd::new(bell, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::default())).unwrap() == 1
}

fn wait(bell: &Bell) -> Vec<u64> {
    let mut fds = [PollFd::new(bell, PollFlags::IN)];
    assert_eq!(poll(&mut fds, None).unwrap(), 1);
    bell.take().unwrap()
}

fn sixteen(model: &Model) -> Vec<Stream> {
    let text = format!("steps {STEPS} {STREAMS} 2000");
    (0..STREAMS)
        .map(|_| model.generate(prompt(&text)).unwrap())
        .collect()
}

#[test]
fn a_bell_says_which_stream_has_something() {
    within(|| {
        let model = start(fake("")).unwrap();
        let bell = Arc::new(Bell::new().unwrap());
        let stream = model.generate(prompt("hold")).unwrap();
        stream.watch(Arc::clone(&bell), 7).unwrap();
        assert_eq!(wait(&bell), [7]);
        assert!(matches!(stream.poll(), Ok(Some(Update::Began { .. }))));
        assert!(!is_readable(&bell));
        assert_eq!(stream.poll(), Ok(None));
        stream.cancel().unwrap();
        assert_eq!(wait(&bell), [7]);
        assert!(matches!(stream.poll(), Ok(Some(Update::Finished(_)))));
        assert_eq!(stream.poll(), Ok(None));
        // Given again after the end, it hears of the end.
        stream.watch(Arc::clone(&bell), 8).unwrap();
        assert_eq!(wait(&bell), [8]);
    });
}

#[test]
fn a_bell_hears_of_every_end() {
    within(|| {
        let model = start(fake("")).unwrap();
        let bell = Arc::new(Bell::new().unwrap());
        let watched = |text: &str, key| {
            let mut order = prompt(text);
            order.timeout_ms = if key == 2 { 50 } else { 60_000 };
            let stream = model.generate(order).unwrap();
            stream.watch(Arc::clone(&bell), key).unwrap();
            stream
        };
        let end_of = |stream: &Stream, key| {
            loop {
                match stream.poll() {
                    Ok(Some(_)) => {}
                    Ok(None) => while !wait(&bell).contains(&key) {},
                    Err(error) => return error,
                }
            }
        };
        let killed = watched("signal KILL", 1);
        assert_eq!(end_of(&killed, 1).code(), "worker.killed");
        // From here on the worker doesn't listen.
        let deaf = watched("deaf", 3);
        let late = watched("say 1", 2);
        assert_eq!(end_of(&late, 2).code(), "worker.over_time");
        model.close().unwrap();
        assert_eq!(end_of(&deaf, 3), HostError::Unloaded);
    });
}

#[test]
fn a_step_of_sixteen_streams_rings_once() {
    within(|| {
        let model = start(fake("")).unwrap();
        let bell = Arc::new(Bell::new().unwrap());
        let streams = sixteen(&model);
        for (key, stream) in streams.iter().enumerate() {
            assert!(
                stream
                    .poll()
                    .unwrap()
                    .is_none_or(|update| matches!(update, Update::Began { .. }))
            );
            stream.watch(Arc::clone(&bell), key as u64).unwrap();
        }
        let (mut rings, mut tokens, mut ended) = (0, 0, 0);
        while ended < STREAMS {
            let news = wait(&bell);
            rings += 1;
            assert!(news.len() <= STREAMS);
            for key in news {
                while let Some(update) = streams[usize::try_from(key).unwrap()].poll().unwrap() {
                    match update {
                        Update::Piece { tokens: more, .. } => tokens += more,
                        Update::Finished(_) => ended += 1,
                        _ => {}
                    }
                }
            }
        }
        assert_eq!(tokens, STEPS * 16);
        // One for each step, and a few for the beginnings, which come as the requests do.
        assert!(rings <= STEPS + 24, "{rings} rings for {STEPS} steps");
    });
}

#[test]
fn a_stream_that_nobody_reads_holds_no_other_up() {
    within(|| {
        let model = start(fake("")).unwrap();
        let streams = sixteen(&model);
        let (slow, others) = streams.split_last().unwrap();
        for stream in others {
            assert_eq!(collect(stream).unwrap().tokens, STEPS);
        }
        // Answered after the last of what the streams were sent.
        assert_eq!(model.tokenize("a"), Ok(vec![97]));
        let mut updates = Vec::new();
        while let Some(update) = slow.poll().unwrap() {
            updates.push(update);
        }
        // All of it, in one piece.
        let [
            Update::Began { .. },
            Update::Piece { text, tokens },
            Update::Finished(finished),
        ] = &updates[..]
        else {
            panic!("{} updates", updates.len());
        };
        assert_eq!(*text, "word ".repeat(STEPS as usize));
        assert_eq!((*tokens, finished.completion_tokens), (STEPS, STEPS));
    });
}

#[test]
fn a_bell_outlives_its_model_and_hears_of_its_end() {
    within(|| {
        let model = start(fake("")).unwrap();
        let bell = Arc::new(Bell::new().unwrap());
        let stream = model.generate(prompt("hold")).unwrap();
        stream.watch(Arc::clone(&bell), 1).unwrap();
        assert_eq!(wait(&bell), [1]);
        while stream.poll().unwrap().is_some() {}
        drop(model);
        assert_eq!(wait(&bell), [1]);
        assert_eq!(stream.poll(), Err(HostError::Unloaded));
        drop(stream);
        assert_eq!(Arc::strong_count(&bell), 1);
    });
}
