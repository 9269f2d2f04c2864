//! What is kept of a tenant's requests is its own.

use strongroom_engine::{Model, Scheduler, SchedulerOptions, Work};
use strongroom_protocol::{Event, Generate, PrefixCache, Prompt, Publish, Tenant};
use strongroom_specimen::{Vocabulary, tiny};

use crate::rig::{admit, answer, model, options, refusal, request, run, text, wide_scheduler};

const PROMPT: &str = "hello the sky is blue and one two three four five six seven eight nine ten";

fn keeping(model: &Model, quota: u64) -> Scheduler {
    let options = SchedulerOptions {
        prefix_cache: PrefixCache {
            quota,
            tenants: 8,
            idle_seconds: 600,
        },
        ..options(16)
    };
    wide_scheduler(model, 512, 4, options)
}

fn of(id: u64, text: &str, number: Option<u8>) -> Generate {
    Generate {
        tenant: number.map(|number| Tenant([number; 32])),
        ..request(id, text, 8)
    }
}

/// Prompt tokens, how many of them were cached, and the answer.
fn ask(scheduler: &mut Scheduler, order: Generate) -> (u32, u32, String) {
    admit(scheduler, order).unwrap();
    let events = run(scheduler);
    let counts = events.iter().find_map(|event| match event {
        Event::Began {
            prompt_tokens,
            cached_tokens,
            ..
        } => Some((*prompt_tokens, *cached_tokens)),
        _ => None,
    });
    let (prompt, cached) = counts.unwrap();
    (prompt, cached, text(&events))
}

#[test]
fn a_prefix_is_reused_within_a_tenant_and_never_across() {
    let model = model(&tiny(Vocabulary::Bpe));
    let mut scheduler = keeping(&model, 64 << 20);
    let (prompt, cached, first) = ask(&mut scheduler, of(1, PROMPT, Some(1)));
    assert_eq!(cached, 0);
    let (_, cached, again) = ask(&mut scheduler, of(2, PROMPT, Some(1)));
    assert_eq!(cached, prompt - 1);
    assert_eq!(again, first);
    for other in [Some(2), Some(3), None] {
        let (_, cached, same) = ask(&mut scheduler, of(3, PROMPT, other));
        assert_eq!(cached, 0, "{other:?}");
        assert_eq!(same, first);
    }
    // What begins alike is gone on from, and what follows is its own.
    let longer = format!("{PROMPT} eleven twelve");
    let (whole, _) = answer(&mut keeping(&model, 0), of(1, &longer, None));
    let (_, cached, text) = ask(&mut scheduler, of(4, &longer, Some(1)));
    assert!(cached > prompt / 2, "{cached} of {prompt}");
    assert_eq!(text, whole);
}

#[test]
fn a_request_without_a_tenant_leaves_nothing_to_anyone() {
    let model = model(&tiny(Vocabulary::Bpe));
    let mut scheduler = keeping(&model, 64 << 20);
    for id in 1..=2 {
        assert_eq!(ask(&mut scheduler, of(id, PROMPT, None)).1, 0);
    }
    assert_eq!(ask(&mut scheduler, of(3, PROMPT, Some(1))).1, 0);
}

#[test]
fn a_quota_of_nothing_keeps_nothing() {
    let model = model(&tiny(Vocabulary::Bpe));
    let mut scheduler = keeping(&model, 0);
    for id in 1..=2 {
        assert_eq!(ask(&mut scheduler, of(id, PROMPT, Some(1))).1, 0);
    }
}

#[test]
fn a_published_prefix_is_everyones_and_read_once() {
    let model = model(&tiny(Vocabulary::Bpe));
    let mut scheduler = keeping(&model, 64 << 20);
    let publish = |request| {
        Work::Publish(Box::new(Publish {
            request,
            prompt: Prompt::Text(PROMPT.into()),
            timeout_ms: 60_000,
        }))
    };
    scheduler
        .admit(publish(1), std::time::Instant::now())
        .unwrap();
    let events = run(&mut scheduler);
    let Some(Event::Published { tokens, .. }) = events.last() else {
        panic!("{events:?}");
    };
    let longer = format!("{PROMPT} eleven twelve");
    let (whole, _) = answer(&mut keeping(&model, 0), of(1, &longer, None));
    for other in [Some(1), Some(2), None] {
        let (_, cached, text) = ask(&mut scheduler, of(2, &longer, other));
        assert!(
            cached <= *tokens && cached + 3 >= *tokens,
            "{cached} {tokens}"
        );
        assert_eq!(text, whole);
    }
    // Where there is no room for it, it says so.
    let mut small = keeping(&model, 10);
    small.admit(publish(1), std::time::Instant::now()).unwrap();
    assert_eq!(refusal(&run(&mut small), 1), Some("prefix.no_room"));
}

#[test]
fn what_is_cached_is_erased_from_its_place_all_the_same() {
    let model = model(&tiny(Vocabulary::Bpe));
    let mut scheduler = keeping(&model, 64 << 20);
    for id in 1..=3 {
        ask(&mut scheduler, of(id, PROMPT, Some(1)));
        assert!(scheduler.context().residue().iter().all(|&byte| byte == 0));
    }
}

#[test]
fn a_conversation_goes_on_from_its_last_turn() {
    let model = model(&tiny(Vocabulary::Bpe));
    let mut scheduler = keeping(&model, 64 << 20);
    let (prompt, _, text) = ask(&mut scheduler, of(1, PROMPT, Some(1)));
    let next = format!("{PROMPT}{text} and");
    let (_, cached, _) = ask(&mut scheduler, of(2, &next, Some(1)));
    assert!(cached >= prompt - 1, "{cached} of {prompt}");
}
