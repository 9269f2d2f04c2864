//! Faults in what every GGUF file has: magic, counts, keys, values.

use super::Faults;
use crate::value::{Value, kind};

pub(super) fn add(faults: &mut Faults) {
    beginnings(faults);
    endings(faults);
    counts(faults);
    keys(faults);
    types(faults);
    lengths(faults);
    contents(faults);
    alignments(faults);
}

fn beginnings(faults: &mut Faults) {
    const MAGIC: &str = "gguf.magic";
    faults.llama(MAGIC, "magic_of_an_older_format", |draft| {
        draft.magic = *b"GGJT";
    });
    faults.llama(MAGIC, "magic_in_lower_case", |draft| draft.magic = *b"gguf");
    faults.llama(MAGIC, "magic_of_a_zip_archive", |draft| {
        draft.magic = *b"PK\x03\x04";
    });
    faults.llama("gguf.version", "version_0", |draft| draft.version = 0);
    faults.llama("gguf.version", "version_1", |draft| draft.version = 1);
    faults.llama("gguf.version", "version_4", |draft| draft.version = 4);
    faults.llama("gguf.version", "version_65539", |draft| {
        draft.version = 0x0001_0003;
    });
    faults.llama("gguf.byte_order", "big_endian_version_3", |draft| {
        draft.version = 3_u32.swap_bytes();
    });
    faults.llama("gguf.byte_order", "big_endian_version_2", |draft| {
        draft.version = 2_u32.swap_bytes();
    });
}

fn endings(faults: &mut Faults) {
    const TRUNCATED: &str = "gguf.truncated";
    let whole = faults.llama.write();
    let header = faults.llama.header().len();
    faults.file(TRUNCATED, "nothing", Vec::new());
    faults.file(TRUNCATED, "half_a_magic", whole[..2].to_vec());
    faults.file(TRUNCATED, "ends_after_the_version", whole[..8].to_vec());
    faults.file(TRUNCATED, "ends_after_the_header", whole[..header].to_vec());
    faults.file(
        TRUNCATED,
        "ends_one_byte_early",
        whole[..whole.len() - 1].to_vec(),
    );
    faults.file(
        TRUNCATED,
        "ends_within_the_tensor_list",
        whole[..header - 100].to_vec(),
    );
}

fn counts(faults: &mut Faults) {
    const TENSORS: &str = "gguf.tensor_count";
    const METADATA: &str = "gguf.metadata_count";
    faults.llama(TENSORS, "no_tensors", |draft| draft.tensors.clear());
    faults.llama(TENSORS, "tensors_beyond_number", |draft| {
        draft.tensor_count = Some(u64::MAX);
    });
    faults.llama(TENSORS, "tensors_negative", |draft| {
        draft.tensor_count = Some(1 << 63);
    });
    faults.llama(TENSORS, "tensors_beyond_the_file", |draft| {
        draft.tensor_count = Some(60_000);
    });
    faults.llama(METADATA, "metadata_beyond_number", |draft| {
        draft.metadata_count = Some(u64::MAX);
    });
    faults.llama(METADATA, "metadata_negative", |draft| {
        draft.metadata_count = Some(1 << 63);
    });
    faults.llama(METADATA, "metadata_beyond_the_file", |draft| {
        draft.metadata_count = Some(65_000);
    });
    // What comes next is then read as a tensor: a key as its name, a type as its dimensions.
    faults.llama("gguf.dimensions", "metadata_not_counted", |draft| {
        draft.metadata_count = Some(0);
    });
}

fn keys(faults: &mut Faults) {
    let add = |faults: &mut Faults, code, name, key: &[u8]| {
        faults.llama(code, name, |draft| {
            draft.metadata.push((key.to_vec(), Value::U32(1)));
        });
    };
    add(faults, "gguf.key_length", "key_empty", b"");
    add(faults, "gguf.key_length", "key_of_300_bytes", &[b'a'; 300]);
    add(
        faults,
        "gguf.key_syntax",
        "key_with_a_space",
        b"general.a key",
    );
    add(faults, "gguf.key_syntax", "key_with_a_nul", b"general.\0");
    add(
        faults,
        "gguf.key_syntax",
        "key_with_a_line_break",
        b"general.\nname",
    );
    add(
        faults,
        "gguf.key_syntax",
        "key_not_utf8",
        b"general.\xff\xfe",
    );
    add(
        faults,
        "gguf.key_syntax",
        "key_with_two_dots",
        b"general..author",
    );
    add(
        faults,
        "gguf.duplicate_key",
        "key_twice",
        b"llama.block_count",
    );
    let mut whole = faults.llama.write();
    whole[24..32].copy_from_slice(&u64::MAX.to_le_bytes());
    faults.file("gguf.key_length", "key_beyond_number", whole);
}

fn types(faults: &mut Faults) {
    let raw = |number: u32| Value::Raw(number, vec![0; 8]);
    faults.llama("gguf.value_type", "type_13", |draft| {
        drop_in(draft, raw(13));
    });
    faults.llama("gguf.value_type", "type_beyond_number", |draft| {
        drop_in(draft, raw(u32::MAX));
    });
    let array = |element| Value::raw_array(element, 0, &[]);
    faults.llama("gguf.value_type", "array_of_type_99", |draft| {
        drop_in(draft, array(99));
    });
    faults.llama("gguf.nested_array", "array_of_arrays", |draft| {
        drop_in(draft, array(kind::ARRAY));
    });
}

/// Adds a value under a key that nothing else uses.
fn drop_in(draft: &mut crate::Draft, value: Value) {
    draft.set("general.extra", value);
}

fn lengths(faults: &mut Faults) {
    const ARRAY: &str = "gguf.array_length";
    let mut array = |name, element, length| {
        faults.llama(ARRAY, name, |draft| {
            drop_in(draft, Value::raw_array(element, length, &[0; 16]));
        });
    };
    array("array_beyond_number", kind::U32, u64::MAX);
    array("array_whose_size_wraps_to_zero", kind::U64, 1 << 61);
    array("array_beyond_the_file", kind::U64, 1 << 20);
    array("texts_beyond_number", kind::TEXT, u64::MAX);
    array("texts_whose_size_wraps", kind::TEXT, (1 << 61) + 1);
    array("texts_beyond_the_file", kind::TEXT, 1 << 20);

    let text = |length: u64| Value::Raw(kind::TEXT, length.to_le_bytes().to_vec());
    faults.llama("gguf.text_length", "text_beyond_number", |draft| {
        drop_in(draft, text(u64::MAX));
    });
    faults.llama("gguf.text_length", "text_of_a_gibibyte", |draft| {
        drop_in(draft, text(1 << 30));
    });
    faults.llama("gguf.truncated", "text_beyond_the_file", |draft| {
        drop_in(draft, text(1 << 21));
    });
    faults.llama("gguf.text_length", "element_of_two_mebibytes", |draft| {
        drop_in(
            draft,
            Value::raw_array(kind::TEXT, 1, &(2_u64 << 20).to_le_bytes()),
        );
    });
}

fn contents(faults: &mut Faults) {
    const ENCODING: &str = "gguf.text_encoding";
    const FINITE: &str = "gguf.not_finite";
    faults.llama(ENCODING, "name_not_utf8", |draft| {
        draft.set("general.name", Value::Text(b"caf\xe9".to_vec()));
    });
    faults.llama(ENCODING, "name_with_a_surrogate", |draft| {
        draft.set("general.name", Value::Text(b"\xed\xa0\x80".to_vec()));
    });
    faults.llama(ENCODING, "token_not_utf8", |draft| {
        draft.value_mut("tokenizer.ggml.tokens").texts_mut()[300] = vec![0xff];
    });
    let bool_of = |byte: u8| Value::Raw(kind::BOOL, vec![byte]);
    faults.llama("gguf.bool", "truth_of_2", |draft| {
        drop_in(draft, bool_of(2));
    });
    faults.llama("gguf.bool", "truth_of_255", |draft| {
        draft.set("tokenizer.ggml.add_bos_token", bool_of(255));
    });
    faults.llama("gguf.bool", "truths_with_a_7", |draft| {
        drop_in(draft, Value::raw_array(kind::BOOL, 3, &[0, 1, 7]));
    });
    faults.llama(FINITE, "rope_base_nan", |draft| {
        draft.set("llama.rope.freq_base", f32::NAN);
    });
    faults.llama(FINITE, "epsilon_infinite", |draft| {
        draft.set("llama.attention.layer_norm_rms_epsilon", f32::INFINITY);
    });
    faults.llama(FINITE, "double_nan", |draft| {
        drop_in(draft, Value::F64(f64::NAN));
    });
    faults.llama(FINITE, "doubles_with_an_infinity", |draft| {
        drop_in(
            draft,
            Value::raw_array(kind::F64, 1, &f64::NEG_INFINITY.to_le_bytes()),
        );
    });
    faults.llama(FINITE, "score_nan", |draft| {
        draft.value_mut("tokenizer.ggml.scores").f32s_mut()[300] = f32::NAN;
    });
    faults.llama(FINITE, "score_infinite", |draft| {
        draft.value_mut("tokenizer.ggml.scores").f32s_mut()[5] = f32::NEG_INFINITY;
    });
}

fn alignments(faults: &mut Faults) {
    let mut aligned = |name, alignment: u32| {
        faults.llama("gguf.alignment", name, |draft| {
            draft.set("general.alignment", alignment);
        });
    };
    aligned("alignment_0", 0);
    aligned("alignment_4", 4);
    aligned("alignment_48", 48);
    aligned("alignment_131072", 131_072);
    aligned("alignment_of_the_highest_bit", 1 << 31);
    faults.llama("gguf.key_type", "alignment_of_64_bits", |draft| {
        draft.set("general.alignment", Value::U64(32));
    });
    faults.llama(
        "gguf.data_alignment",
        "weights_that_cannot_be_mapped",
        |draft| {
            draft.alignment = 8;
            draft.set("general.alignment", 8);
            let mut name = String::from("Strongroom specimen");
            while draft.header().len().next_multiple_of(8).is_multiple_of(32) {
                name.push('!');
                draft.set("general.name", name.as_str());
            }
        },
    );
}
