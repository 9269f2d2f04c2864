//! Many sequences in one step: they come and go, and none sees another.

use std::{collections::BTreeMap, time::Instant};

use strongroom_engine::{Batch, Model, Scheduler, Work};
use strongroom_protocol::{Event, FinishReason, Generate, Priority, Tenant};
use strongroom_specimen::{Family, Vocabulary, draft, tiny};

use crate::rig::{
    admit, answer, finished_of, model, options, refusal, request, run, text_of, wide_context,
    wide_scheduler,
};

fn of(id: u64, text: &str, max_tokens: u32, number: u8) -> Generate {
    Generate {
        tenant: Some(Tenant([number; 32])),
        ..request(id, text, max_tokens)
    }
}

fn wide(model: &Model, sequences: u32) -> Scheduler {
    wide_scheduler(model, 256, sequences, options(64))
}

/// Ids in the order in which they began, and in which they ended.
fn order(events: &[Event]) -> (Vec<u64>, Vec<u64>) {
    let mut began = Vec::new();
    let mut ended = Vec::new();
    for event in events {
        match event {
            Event::Began { request, .. } => began.push(*request),
            Event::Finished(finished) => ended.push(finished.request),
            Event::Refused { request, .. } => ended.push(*request),
            _ => {}
        }
    }
    (began, ended)
}

#[test]
fn sequences_are_decoded_in_the_same_steps() {
    let model = model(&tiny(Vocabulary::Spm));
    let mut scheduler = wide(&model, 4);
    for id in 1..=4 {
        admit(&mut scheduler, request(id, "hello", 20)).unwrap();
    }
    let mut steps = 0;
    let mut events = Vec::new();
    while !scheduler.is_idle() {
        scheduler.step(&mut events);
        steps += 1;
    }
    for id in 1..=4 {
        assert_eq!(finished_of(&events, id).completion_tokens, 20);
    }
    // One that begins them, one for the prompts and each further token, one that erases.
    assert!(steps < 30, "{steps} steps for 4 answers of 20 tokens");
}

#[test]
fn an_answer_is_the_same_beside_others_as_alone() {
    // Of a generated model the likeliest tokens are far enough apart that the shape of a batch
    // doesn't decide.
    let model = model(&tiny(Vocabulary::Bpe));
    let prompts = ["hello", "the sky is blue", "one two three four", "a"];
    let alone: Vec<String> = prompts
        .iter()
        .map(|prompt| answer(&mut wide(&model, 1), request(1, prompt, 24)).0)
        .collect();
    let mut scheduler = wide(&model, 4);
    for (id, prompt) in (0..).zip(prompts) {
        admit(&mut scheduler, request(id, prompt, 24)).unwrap();
    }
    let events = run(&mut scheduler);
    for (id, alone) in (0..).zip(&alone) {
        assert_eq!(&text_of(&events, id), alone, "{id}");
    }
}

#[test]
fn they_come_and_go_between_steps_and_places_are_used_again() {
    let model = model(&tiny(Vocabulary::Bpe));
    let lengths = [3, 30, 9, 14, 22, 5, 17, 8, 11];
    let alone: Vec<String> = lengths
        .iter()
        .map(|&length| answer(&mut wide(&model, 1), request(1, "hello", length)).0)
        .collect();
    let mut scheduler = wide(&model, 3);
    let mut events = Vec::new();
    let mut waiting = (0_u64..).zip(lengths);
    let mut next = waiting.next();
    while next.is_some() || !scheduler.is_idle() {
        if let Some((id, length)) = next {
            admit(&mut scheduler, request(id, "hello", length)).unwrap();
            next = waiting.next();
        }
        scheduler.step(&mut events);
    }
    for (id, alone) in (0..).zip(&alone) {
        assert_eq!(&text_of(&events, id), alone, "{id}");
    }
    assert!(scheduler.context().residue().iter().all(|&byte| byte == 0));
}

#[test]
fn a_sequence_that_moves_goes_on_as_it_was() {
    let model = model(&tiny(Vocabulary::Bpe));
    let (alone, _) = answer(&mut wide(&model, 1), request(1, "the sky is blue", 40));
    let mut scheduler = wide(&model, 4);
    for id in 1..=3 {
        admit(&mut scheduler, request(id, "hello", 5)).unwrap();
    }
    admit(&mut scheduler, request(4, "the sky is blue", 40)).unwrap();
    let mut events = Vec::new();
    while scheduler.context().used(0) < 30 {
        assert!(!scheduler.is_idle(), "it never came to the first place");
        scheduler.step(&mut events);
    }
    assert_eq!(scheduler.context().used(3), 0);
    events.extend(run(&mut scheduler));
    assert_eq!(text_of(&events, 4), alone);
}

#[test]
fn cancelling_every_place_at_once_leaves_nothing() {
    let model = model(&tiny(Vocabulary::Spm));
    let mut scheduler = wide(&model, 8);
    for id in 0..20 {
        admit(&mut scheduler, request(id, "hello", 200)).unwrap();
    }
    let mut events = Vec::new();
    for _ in 0..5 {
        scheduler.step(&mut events);
    }
    for id in 0..20 {
        scheduler.cancel(id);
    }
    events.extend(run(&mut scheduler));
    for id in 0..20 {
        assert_eq!(finished_of(&events, id).reason, FinishReason::Cancelled);
    }
    assert!(scheduler.context().residue().iter().all(|&byte| byte == 0));
}

#[test]
fn what_ends_is_erased_while_its_neighbours_go_on_undisturbed() {
    let model = model(&tiny(Vocabulary::Bpe));
    let run_with = |erase| {
        let mut scheduler = wide_scheduler(
            &model,
            256,
            3,
            strongroom_engine::SchedulerOptions {
                erase,
                ..options(8)
            },
        );
        // It ends first, in the last place, so that nobody moves.
        admit(&mut scheduler, request(1, "hello", 40)).unwrap();
        admit(&mut scheduler, request(2, "the sky is blue", 40)).unwrap();
        admit(&mut scheduler, request(3, "one two three four", 6)).unwrap();
        let mut events = Vec::new();
        while !events
            .iter()
            .any(|event| matches!(event, Event::Finished(end) if end.request == 3))
        {
            scheduler.step(&mut events);
        }
        let before = scheduler.context().residue_of(2);
        assert!(before.iter().any(|&byte| byte != 0));
        scheduler.step(&mut events);
        let after = scheduler.context().residue_of(2);
        events.extend(run(&mut scheduler));
        let neighbours = [text_of(&events, 1), text_of(&events, 2)];
        (after.iter().all(|&byte| byte == 0), neighbours)
    };
    let (erased, beside_erasing) = run_with(true);
    let (control, without) = run_with(false);
    assert!(erased);
    assert!(!control, "without erasure it lies there");
    assert_eq!(beside_erasing, without);
}

#[test]
fn the_cache_of_neighbours_is_bit_identical_with_and_without_erasure() {
    let model = model(&tiny(Vocabulary::Bpe));
    let vocabulary = model.vocabulary().unwrap();
    let tokens = vocabulary.tokenize("hello the sky is blue").unwrap();
    let decode = |erase: bool| {
        let mut context = wide_context(&model, 256, 3).unwrap();
        let mut batch = Batch::default();
        for slot in 0..3 {
            batch.push(slot, 0, &tokens, slot == 0).unwrap();
        }
        context.decode(&mut batch).unwrap();
        if erase {
            context.erase(&[1]);
            assert!(context.residue_of(1).iter().all(|&byte| byte == 0));
        } else {
            context.forget(&[1]);
            assert!(context.residue_of(1).iter().any(|&byte| byte != 0));
        }
        let mut logits = Vec::new();
        for step in 0..8 {
            batch.clear();
            let mut rows = Vec::new();
            for slot in [0, 2] {
                let first = context.used(slot);
                let token = tokens[step % tokens.len()];
                rows.push(batch.push(slot, first, &[token], true).unwrap());
            }
            context.decode(&mut batch).unwrap();
            for row in rows {
                logits.extend(
                    context
                        .logits(row)
                        .unwrap()
                        .iter()
                        .map(|logit| logit.to_bits()),
                );
            }
        }
        (context.residue_of(0), context.residue_of(2), logits)
    };
    assert_eq!(decode(true), decode(false));
}

#[test]
fn the_highest_priority_leaves_the_queue_first() {
    let model = model(&tiny(Vocabulary::Spm));
    let mut scheduler = wide(&model, 1);
    admit(&mut scheduler, request(1, "hello", 4)).unwrap();
    let mut events = Vec::new();
    scheduler.step(&mut events);
    for (id, priority) in [
        (2, Priority::Low),
        (3, Priority::Normal),
        (4, Priority::High),
        (5, Priority::Normal),
    ] {
        admit(
            &mut scheduler,
            Generate {
                priority,
                ..request(id, "hello", 4)
            },
        )
        .unwrap();
    }
    events.extend(run(&mut scheduler));
    assert_eq!(order(&events).0, [1, 4, 3, 5, 2]);
}

#[test]
fn a_greedy_tenant_gives_a_place_to_one_that_has_none_and_goes_on_afterwards() {
    let model = model(&tiny(Vocabulary::Bpe));
    let (alone, _) = answer(&mut wide(&model, 1), request(1, "the sky is blue", 60));
    let mut scheduler = wide(&model, 3);
    for id in 1..=6 {
        admit(&mut scheduler, of(id, "the sky is blue", 60, 1)).unwrap();
    }
    let mut events = Vec::new();
    for _ in 0..10 {
        scheduler.step(&mut events);
    }
    admit(&mut scheduler, of(7, "hello", 5, 2)).unwrap();
    events.extend(run(&mut scheduler));
    let (_, ended) = order(&events);
    assert_eq!(ended[0], 7, "it waited for no answer of the other's");
    for id in 1..=6 {
        assert_eq!(text_of(&events, id), alone, "{id}");
    }
}

#[test]
fn requests_that_are_refused_hold_nobody_up() {
    let model = model(&tiny(Vocabulary::Bpe));
    // With a free place, and where another would have to make room.
    for sequences in [2, 3] {
        let mut scheduler = wide(&model, sequences);
        for id in 1..=2 {
            admit(&mut scheduler, of(id, "the sky is blue", 40, 1)).unwrap();
        }
        let mut events = Vec::new();
        for id in 100..150 {
            admit(&mut scheduler, of(id, "", 5, 2)).unwrap();
            scheduler.step(&mut events);
            assert_eq!(refusal(&events, id), Some("prompt.empty"));
        }
        // Each step took a token of each.
        for id in 1..=2 {
            assert!(finished_of(&events, id).completion_tokens > 0);
        }
    }
}

#[test]
fn waiting_requests_of_tenants_take_turns() {
    let model = model(&tiny(Vocabulary::Spm));
    let mut scheduler = wide(&model, 2);
    for id in 1..=6 {
        admit(&mut scheduler, of(id, "hello", 6, 1)).unwrap();
    }
    for id in 7..=9 {
        admit(&mut scheduler, of(id, "hello", 6, 2)).unwrap();
    }
    let (began, _) = order(&run(&mut scheduler));
    let place = |id| began.iter().position(|&other| other == id).unwrap();
    // Each of the second tenant's has begun before the first one's last three.
    assert!(place(9) < place(5), "{began:?}");
}

#[test]
fn a_short_prompt_is_answered_long_before_a_long_one() {
    let model = model(&tiny(Vocabulary::Spm));
    let mut scheduler = wide_scheduler(&model, 2048, 2, options(8));
    let long = "hello ".repeat(300);
    admit(&mut scheduler, of(1, &long, 4, 1)).unwrap();
    let mut events = Vec::new();
    scheduler.step(&mut events);
    scheduler.step(&mut events);
    admit(&mut scheduler, of(2, "hello", 4, 2)).unwrap();
    events.extend(run(&mut scheduler));
    let (_, ended) = order(&events);
    assert_eq!(ended, [2, 1]);
}

#[test]
fn a_long_prompt_holds_no_answer_up() {
    let model = model(&tiny(Vocabulary::Spm));
    let mut scheduler = wide_scheduler(&model, 2048, 2, options(8));
    admit(&mut scheduler, of(1, "hello", 60, 1)).unwrap();
    let mut events = Vec::new();
    for _ in 0..3 {
        scheduler.step(&mut events);
    }
    admit(&mut scheduler, of(2, &"hello ".repeat(900), 4, 2)).unwrap();
    let mut without = 0;
    while scheduler.holds(1) {
        let before = events.len();
        scheduler.step(&mut events);
        let answered = events[before..]
            .iter()
            .any(|event| matches!(event, Event::Piece { request: 1, .. } | Event::Finished(_)));
        without = if answered { 0 } else { without + 1 };
        assert!(without < 4, "steps without a token of the answer");
    }
    assert!(scheduler.holds(2), "the prompt is long");
}

#[test]
fn whoever_comes_nobody_waits_for_ever() {
    let model = model(&tiny(Vocabulary::Spm));
    let mut scheduler = wide_scheduler(&model, 2048, 3, options(8));
    let first = "hello of the sky and the light because it is the answer";
    admit(&mut scheduler, of(1, first, 40, 1)).unwrap();
    let mut events = Vec::new();
    // Prompts that end with their first token, one after the other, two at a time.
    let prompt = "hello ".repeat(80);
    let (mut next, mut steps) = (2, 0);
    while scheduler.holds(1) {
        while (2..next).filter(|&id| scheduler.holds(id)).count() < 2 {
            admit(&mut scheduler, of(next, &prompt, 1, 2)).unwrap();
            next += 1;
        }
        scheduler.step(&mut events);
        steps += 1;
        assert!(steps < 400, "it waits for those who come");
    }
    assert_eq!(finished_of(&events, 1).completion_tokens, 40);
}

#[test]
fn each_step_has_at_most_as_many_tokens_as_a_batch() {
    let model = model(&tiny(Vocabulary::Spm));
    let mut scheduler = wide_scheduler(&model, 512, 16, options(64));
    let mut lengths = BTreeMap::new();
    for id in 0..40 {
        let words = usize::try_from(id).unwrap() * 7 % 90;
        lengths.insert(id, words);
        let prompt = "hello ".repeat(words + 1);
        let number = u8::try_from(id % 5).unwrap();
        scheduler
            .admit(
                Work::Generate(Box::new(of(id, &prompt, 8, number))),
                Instant::now(),
            )
            .unwrap();
    }
    let events = run(&mut scheduler);
    for id in lengths.keys() {
        assert_eq!(finished_of(&events, *id).completion_tokens, 8);
    }
}

#[test]
fn a_failed_decode_fails_only_the_sequence_at_fault() {
    // The byte 1 has an embedding of NaN: whose prompt says it computes NaN.
    let poison = "\u{1}";
    let (first_byte, row) = (3, 64 * size_of::<f32>());
    let mut draft = draft(Family::Llama, Vocabulary::Spm);
    let embedding = &mut draft.tensor_mut("token_embd.weight").data;
    let at = (first_byte + 1) * row;
    embedding[at..at + row].copy_from_slice(&f32::NAN.to_le_bytes().repeat(64));
    let model = model(&draft.write());
    let (alone, _) = answer(&mut wide(&model, 1), request(1, "hello", 12));
    let mut scheduler = wide(&model, 3);
    admit(&mut scheduler, request(1, "hello", 12)).unwrap();
    admit(&mut scheduler, request(2, poison, 12)).unwrap();
    admit(&mut scheduler, request(3, "hello", 12)).unwrap();
    let events = run(&mut scheduler);
    assert_eq!(refusal(&events, 2), Some("request.decode_failed"));
    for id in [1, 3] {
        assert_eq!(text_of(&events, id), alone);
    }
}
