//! A model whose state runs along, and lies in no cells of its own for each sequence.

use strongroom_engine::SchedulerOptions;
use strongroom_protocol::{Event, PrefixCache, Tenant};
use strongroom_specimen::{Family, Random, Vocabulary, draft};

use crate::rig::{admit, answer, finished_of, model, options, request, run, wide_scheduler};

const EMBEDDING: u64 = 64;
const INNER: u64 = 2 * EMBEDDING;
const KERNEL: u64 = 4;
const STATE: u64 = 16;
const RANK: u64 = 4;

/// A tiny Mamba (Gu and Dao 2023), with the vocabulary and the embeddings of a tiny Llama.
fn mamba() -> Vec<u8> {
    let mut draft = draft(Family::Llama, Vocabulary::Bpe);
    draft
        .tensors
        .retain(|tensor| !tensor.name.starts_with(b"blk."));
    draft.set("general.architecture", "mamba");
    let key = |name: &str| format!("mamba.{name}");
    for (name, value) in [
        ("context_length", 2048),
        ("embedding_length", 64),
        ("block_count", 2),
        ("feed_forward_length", 0),
        ("attention.head_count", 0),
        ("ssm.conv_kernel", 4),
        ("ssm.inner_size", 128),
        ("ssm.state_size", 16),
        ("ssm.time_step_rank", 4),
    ] {
        draft.set(&key(name), value);
    }
    draft.set(&key("attention.layer_norm_rms_epsilon"), 1e-5_f32);
    let mut random = Random::new(7);
    for block in 0..2 {
        for (name, dimensions) in [
            ("attn_norm.weight", &[EMBEDDING][..]),
            ("ssm_in.weight", &[EMBEDDING, 2 * INNER]),
            ("ssm_conv1d.weight", &[KERNEL, INNER]),
            ("ssm_conv1d.bias", &[INNER]),
            ("ssm_x.weight", &[INNER, RANK + 2 * STATE]),
            ("ssm_dt.weight", &[RANK, INNER]),
            ("ssm_dt.bias", &[INNER]),
            ("ssm_a", &[STATE, INNER]),
            ("ssm_d", &[INNER]),
            ("ssm_out.weight", &[INNER, EMBEDDING]),
        ] {
            let count = dimensions.iter().product::<u64>();
            let weights: Vec<f32> = (0..count)
                .map(|_| match name {
                    "attn_norm.weight" => 1.0,
                    "ssm_a" => -random.weight().abs() - 0.1,
                    _ => random.weight() / 4.0,
                })
                .collect();
            draft.push(&format!("blk.{block}.{name}"), dimensions, &weights);
        }
    }
    draft.write()
}

#[test]
fn it_decodes_one_at_a_time_keeps_nothing_and_is_erased_as_a_whole() {
    let model = model(&mamba());
    assert!(!model.is_erasable_by_sequence());
    let options = SchedulerOptions {
        prefix_cache: PrefixCache {
            quota: 1 << 20,
            tenants: 4,
            idle_seconds: 600,
        },
        ..options(8)
    };
    let mut scheduler = wide_scheduler(&model, 256, 4, options);
    assert_eq!(scheduler.context().slots(), 1);
    let prompt = "hello the sky is blue and one two three four five six";
    let (first, end) = answer(&mut scheduler, request(1, prompt, 12));
    for id in 2..=4 {
        let mut order = request(id, prompt, 12);
        order.tenant = Some(Tenant([1; 32]));
        admit(&mut scheduler, order).unwrap();
    }
    let events = run(&mut scheduler);
    for id in 2..=4 {
        let other = finished_of(&events, id);
        assert_eq!(
            (other.reason, other.completion_tokens),
            (end.reason, end.completion_tokens)
        );
        assert_eq!(
            crate::rig::text_of(&events, id),
            first,
            "nothing is left of others"
        );
    }
    let cached = events.iter().any(|event| {
        matches!(
            event,
            Event::Began {
                cached_tokens: 1..,
                ..
            }
        )
    });
    assert!(!cached);
}
