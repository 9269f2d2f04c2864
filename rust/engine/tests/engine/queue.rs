//! First come, first served, and no more than the limit.

use strongroom_protocol::{Event, FinishReason};
use strongroom_specimen::{Vocabulary, tiny};

use crate::rig::{admit, model, request, run, scheduler};

#[test]
fn requests_are_served_in_order_one_at_a_time() {
    let model = model(&tiny(Vocabulary::Spm));
    let mut scheduler = scheduler(&model, 256, 3);
    for id in [5, 3, 9] {
        admit(&mut scheduler, request(id, "hello", 4)).unwrap();
    }
    let error = admit(&mut scheduler, request(4, "hello", 4)).unwrap_err();
    assert_eq!(error.code(), "request.busy");
    let order: Vec<(u64, bool)> = run(&mut scheduler)
        .iter()
        .filter_map(|event| match event {
            Event::Began { request, .. } => Some((*request, true)),
            Event::Finished(end) => Some((end.request, false)),
            _ => None,
        })
        .collect();
    // Each begins only when the one before has ended.
    let expected: Vec<(u64, bool)> = [5, 3, 9]
        .iter()
        .flat_map(|&id| [(id, true), (id, false)])
        .collect();
    assert_eq!(order, expected);
    // There is room again.
    admit(&mut scheduler, request(4, "hello", 4)).unwrap();
    assert_eq!(run(&mut scheduler).len(), 6);
}

#[test]
fn a_waiting_request_can_be_cancelled_and_makes_room() {
    let model = model(&tiny(Vocabulary::Spm));
    let mut scheduler = scheduler(&model, 256, 2);
    admit(&mut scheduler, request(1, "hello", 50)).unwrap();
    admit(&mut scheduler, request(2, "hello", 50)).unwrap();
    let mut events = Vec::new();
    scheduler.step(&mut events);
    scheduler.cancel(2);
    events.clear();
    scheduler.step(&mut events);
    assert!(events.iter().any(|event| matches!(
        event,
        Event::Finished(end) if end.request == 2 && end.reason == FinishReason::Cancelled
    )));
    assert!(scheduler.holds(1));
    admit(&mut scheduler, request(3, "hello", 1)).unwrap();
}

#[test]
fn two_hundred_requests_opened_and_dropped_leave_nothing() {
    let model = model(&tiny(Vocabulary::Spm));
    let mut scheduler = scheduler(&model, 256, 200);
    for id in 0..200 {
        admit(&mut scheduler, request(id, "hello", 50)).unwrap();
    }
    for id in 0..200 {
        scheduler.cancel(id);
    }
    let events = run(&mut scheduler);
    assert_eq!(events.len(), 200);
    assert!(scheduler.is_idle());
    assert_eq!(scheduler.context().used(0), 0);
}
