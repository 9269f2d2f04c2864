//! Nothing of a request stays behind.

use strongroom_engine::Batch;
use strongroom_specimen::{Vocabulary, tiny};

use crate::rig::{answer, context, model, request, scheduler};

#[test]
fn the_cache_is_zero_after_a_request() {
    let model = model(&tiny(Vocabulary::Bpe));
    let mut fresh = context(&model, 256).unwrap();
    fresh.erase(&[0]);
    assert!(fresh.residue().iter().all(|&byte| byte == 0));

    let vocabulary = model.vocabulary().unwrap();
    let tokens = vocabulary.tokenize("hello the sky is blue").unwrap();
    let mut batch = Batch::default();
    batch.push(0, 0, &tokens, true).unwrap();
    fresh.decode(&mut batch).unwrap();
    assert!(fresh.residue().iter().any(|&byte| byte != 0));
    fresh.erase(&[0]);
    assert!(fresh.residue().iter().all(|&byte| byte == 0));

    let mut scheduler = scheduler(&model, 256, 4);
    answer(&mut scheduler, request(1, "hello the sky is blue", 32));
    assert_eq!(scheduler.context().used(0), 0);
    assert!(scheduler.context().residue().iter().all(|&byte| byte == 0));
}
