//! Statements: signed by the right key, and refused all the same.

use serde_json::{Value, json};
use strongroom_verify::{Algorithm, Hasher, manifest::Serialization};

use crate::support::{code, hex, listing, pointers, read_payload, read_statement, root};

fn sound() -> Value {
    let mut statement = listing(&[("a", b"a"), ("b/c", b"c")]);
    statement["predicate"]["serialization"]["ignore_paths"] = json!(["x", "y/z"]);
    read_statement(&statement).unwrap();
    statement
}

/// Shards of a file of 25 bytes, ten to a shard, as the reference writes them.
fn sharded(shards: &[(u64, u64)], size: &Value) -> Value {
    let bytes = [7; 40];
    let digests: Vec<Vec<u8>> = shards
        .iter()
        .map(|&(start, end)| {
            let part = &bytes[start as usize..end as usize];
            Hasher::digest(Algorithm::Sha256, part).as_bytes().to_vec()
        })
        .collect();
    let resources: Vec<Value> = shards
        .iter()
        .zip(&digests)
        .map(|((start, end), digest)| {
            json!({
                "name": format!("a.bin:{start}:{end}"),
                "digest": hex(digest),
                "algorithm": "sha256",
            })
        })
        .collect();
    let mut statement = listing(&[("a", b"a")]);
    statement["subject"][0]["digest"]["sha256"] = json!(root(&digests));
    statement["predicate"] = json!({
        "serialization": {
            "method": "shards",
            "hash_type": "sha256",
            "allow_symlinks": false,
            "shard_size": size,
        },
        "resources": resources,
    });
    statement
}

/// The same statement with other names, and the root that it then has (names aren't in it).
fn named(names: &[&str]) -> Value {
    let files: Vec<(&str, &[u8])> = names.iter().map(|&name| (name, name.as_bytes())).collect();
    listing(&files)
}

#[test]
fn a_statement_without_any_field_is_refused() {
    let sound = sound();
    for pointer in pointers(&sound)
        .iter()
        .filter(|pointer| !pointer.is_empty())
    {
        let mut statement = sound.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        match statement.pointer_mut(parent).unwrap() {
            Value::Object(fields) => drop(fields.remove(name)),
            Value::Array(items) => drop(items.remove(name.parse().unwrap())),
            _ => unreachable!(),
        }
        if pointer.contains("ignore_paths") {
            assert!(read_statement(&statement).is_ok());
            continue;
        }
        let found = code(read_statement(&statement));
        // One resource fewer is a list of its own, but not of this root.
        let expected = if parent == "/predicate/resources" {
            "manifest.root_digest"
        } else {
            "manifest.statement_malformed"
        };
        assert_eq!(found, expected, "{pointer}");
    }
}

#[test]
fn a_field_of_another_type_is_refused() {
    let sound = sound();
    for pointer in pointers(&sound) {
        for other in [
            json!(null),
            json!(7),
            json!(0.5),
            json!("\u{0}"),
            json!([]),
            json!({}),
            json!([{}]),
        ] {
            let mut statement = sound.clone();
            let value = statement.pointer_mut(&pointer).unwrap();
            if pointer == "/subject/0/name" && other.is_string()
                || pointer.ends_with("ignore_paths") && other == json!([])
            {
                continue;
            }
            *value = other.clone();
            let found = code(read_statement(&statement));
            let word = ["/_type", "/predicateType"].contains(&&*pointer)
                || pointer.ends_with("hash_type")
                || pointer.ends_with("method");
            let path = pointer.ends_with("/name") || pointer.contains("ignore_paths/");
            let expected = match () {
                () if other.is_string() && word => "manifest.statement_unsupported",
                () if other.is_string() && path => "manifest.statement_unsafe",
                () => "manifest.statement_malformed",
            };
            assert_eq!(found, expected, "{pointer} {other}");
        }
    }
}

#[test]
fn a_field_that_is_unknown_or_there_twice_is_refused() {
    let sound = sound();
    for pointer in pointers(&sound) {
        let mut statement = sound.clone();
        let Some(fields) = statement.pointer_mut(&pointer).unwrap().as_object_mut() else {
            continue;
        };
        fields.insert("extra".into(), json!({ "a": [1] }));
        // The specification has verifiers ignore what else the predicate says.
        if pointer == "/predicate" {
            assert!(read_statement(&statement).is_ok());
        } else {
            assert_eq!(
                code(read_statement(&statement)),
                "manifest.statement_malformed",
                "{pointer}"
            );
        }
    }
    let text = sound.to_string();
    for name in [
        "_type",
        "subject",
        "name",
        "digest",
        "sha256",
        "predicateType",
        "predicate",
        "serialization",
        "method",
        "hash_type",
        "allow_symlinks",
        "ignore_paths",
        "resources",
        "algorithm",
    ] {
        let named = format!("\"{name}\":");
        let twice = text.replacen(&named, &format!("{named}null,{named}"), 1);
        assert_ne!(twice, text);
        assert_eq!(code(read_payload(&twice)), "manifest.statement_malformed");
        // Also in another spelling.
        let escaped = format!("\"\\u{:04x}{}\":", name.as_bytes()[0], &name[1..]);
        let twice = text.replacen(&named, &format!("{escaped}null,{named}"), 1);
        assert_eq!(code(read_payload(&twice)), "manifest.statement_malformed");
    }
    // In a field that is ignored, too.
    let hidden = text.replacen(
        "\"resources\":",
        "\"x\":{\"a\":1,\"a\":2},\"resources\":",
        1,
    );
    assert_eq!(code(read_payload(&hidden)), "manifest.statement_malformed");
}

#[test]
fn values_that_are_too_long_are_refused() {
    for (pointer, expected) in [
        ("/_type", "manifest.statement_malformed"),
        ("/predicateType", "manifest.statement_malformed"),
        ("/subject/0/name", "manifest.statement_malformed"),
        ("/subject/0/digest/sha256", "manifest.statement_malformed"),
        (
            "/predicate/serialization/method",
            "manifest.statement_malformed",
        ),
        (
            "/predicate/serialization/hash_type",
            "manifest.statement_malformed",
        ),
        (
            "/predicate/serialization/ignore_paths/0",
            "manifest.statement_malformed",
        ),
        (
            "/predicate/resources/0/name",
            "manifest.statement_malformed",
        ),
        (
            "/predicate/resources/0/digest",
            "manifest.statement_malformed",
        ),
        (
            "/predicate/resources/0/algorithm",
            "manifest.statement_malformed",
        ),
    ] {
        let mut statement = sound();
        *statement.pointer_mut(pointer).unwrap() = json!("a".repeat(5_000));
        assert_eq!(code(read_statement(&statement)), expected, "{pointer}");
    }
}

#[test]
fn no_statement_and_bombs_are_refused() {
    for payload in [
        "x",
        "[]",
        "null",
        "{}",
        &"[".repeat(1 << 20),
        &"{\"_type\":".repeat(1 << 18),
    ] {
        assert_eq!(code(read_payload(payload)), "manifest.statement_malformed");
    }
}

#[test]
fn an_empty_statement_is_refused() {
    let statement = listing(&[]);
    assert_eq!(
        code(read_statement(&statement)),
        "manifest.statement_malformed"
    );
}

#[test]
fn none_and_two_subjects_are_refused() {
    for count in [0, 2] {
        let mut statement = sound();
        let subject = statement["subject"][0].clone();
        statement["subject"] = json!(vec![subject; count]);
        assert_eq!(
            code(read_statement(&statement)),
            "manifest.statement_malformed"
        );
    }
    let mut statement = sound();
    statement["subject"][0]["digest"]["sha512"] = json!("00");
    assert_eq!(
        code(read_statement(&statement)),
        "manifest.statement_malformed"
    );
}

#[test]
fn other_types_of_statements_are_named() {
    for (pointer, value) in [
        ("/_type", "https://in-toto.io/Statement/v0.1"),
        ("/predicateType", "https://model_signing/Digests/v0.1"),
        ("/predicateType", "https://slsa.dev/provenance/v1"),
        ("/predicateType", "https://model_signing/signature/v1.1"),
        ("/predicate/serialization/method", "tensors"),
        ("/predicate/serialization/method", "Files"),
        ("/predicate/serialization/hash_type", "sha1"),
        ("/predicate/serialization/hash_type", "md5"),
        ("/predicate/serialization/hash_type", "SHA256"),
        ("/predicate/serialization/hash_type", "sha256-sharded-10"),
    ] {
        let mut statement = sound();
        *statement.pointer_mut(pointer).unwrap() = json!(value);
        let refused = code(read_statement(&statement));
        assert_eq!(refused, "manifest.statement_unsupported", "{value}");
    }
}

#[test]
fn the_root_is_recomputed() {
    let mut statement = sound();
    statement["subject"][0]["digest"]["sha256"] = json!("0".repeat(64));
    assert_eq!(code(read_statement(&statement)), "manifest.root_digest");
    let mut statement = sound();
    let resources = statement["predicate"]["resources"].as_array_mut().unwrap();
    resources.swap(0, 1);
    assert_eq!(code(read_statement(&statement)), "manifest.root_digest");
}

#[test]
fn digests_are_of_the_statements_algorithm_and_spelt_in_lower_case() {
    let digest = sound()["predicate"]["resources"][0]["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    for spoilt in [
        "",
        "00",
        &digest[1..],
        &format!("{digest}0"),
        &format!("{digest}00"),
        &format!(" {}", &digest[1..]),
        &digest.to_uppercase(),
        &"g".repeat(64),
        &"é".repeat(32),
    ] {
        let mut statement = sound();
        statement["predicate"]["resources"][0]["digest"] = json!(spoilt);
        assert_eq!(
            code(read_statement(&statement)),
            "manifest.statement_malformed",
            "{spoilt}"
        );
    }
    for algorithm in ["sha512", "blake3", "sha384", "", "sha256-sharded-10"] {
        let mut statement = sound();
        statement["predicate"]["resources"][0]["algorithm"] = json!(algorithm);
        assert_eq!(
            code(read_statement(&statement)),
            "manifest.statement_malformed",
            "{algorithm}"
        );
    }
}

#[test]
fn names_that_leave_the_tree_or_have_a_second_spelling_are_refused() {
    for name in [
        "/etc/passwd",
        "//a",
        "..",
        "../a",
        "a/../../b",
        "a/../b",
        "a/..",
        "./a",
        "a/./b",
        "a//b",
        "a/",
        "/",
        "a\0b",
        "",
        &"a/".repeat(2_050),
    ] {
        let refused = code(read_statement(&named(&["m", name])));
        assert_eq!(refused, "manifest.statement_unsafe", "{name:?}");
        let mut statement = sound();
        statement["predicate"]["serialization"]["ignore_paths"] = json!([name]);
        let refused = code(read_statement(&statement));
        assert_eq!(refused, "manifest.statement_unsafe", "{name:?}");
    }
    // Everything would be ignored.
    let mut statement = sound();
    statement["predicate"]["serialization"]["ignore_paths"] = json!(["."]);
    assert_eq!(
        code(read_statement(&statement)),
        "manifest.statement_unsafe"
    );
}

#[test]
fn a_name_that_is_listed_twice_or_is_in_a_file_is_refused() {
    for names in [
        &["a", "a"][..],
        &["a", "b", "a"],
        &["a", "a/b"],
        &["a/b/c", "a"],
        &[".", "a"],
        &[".", "."],
    ] {
        let refused = code(read_statement(&named(names)));
        assert_eq!(refused, "manifest.statement_unsafe", "{names:?}");
    }
    assert!(read_statement(&named(&["a", "a-b", "a.b/c", "ab/c"])).is_ok());
}

#[test]
fn shards_are_read_as_the_reference_writes_them() {
    for size in [json!(10), json!(10.0), json!(1e1)] {
        let mut statement = sharded(&[(0, 10), (10, 20), (20, 25)], &size);
        let verified = read_statement(&statement).unwrap();
        assert_eq!(verified.serialization(), Serialization::Shards { size: 10 });
        verified.check_bytes("a.bin", &[7; 25]).unwrap();
        for length in [0, 9, 24, 26, 40] {
            let refused = verified.check_bytes("a.bin", &[7; 40][..length]);
            assert_eq!(code(refused), "manifest.file_differs");
        }
        let mut bytes = [7; 25];
        bytes[24] = 8;
        let refused = verified.check_bytes("a.bin", &bytes);
        assert_eq!(code(refused), "manifest.file_differs");
        assert_eq!(
            code(verified.digest("a.bin")),
            "manifest.statement_unsupported"
        );
        // The size, once more in every one of them.
        for shard in statement["predicate"]["resources"].as_array_mut().unwrap() {
            shard["algorithm"] = json!("sha256-sharded-10");
        }
        read_statement(&statement).unwrap();
        statement["predicate"]["resources"][1]["algorithm"] = json!("sha256-sharded-11");
        assert_eq!(
            code(read_statement(&statement)),
            "manifest.statement_malformed"
        );
    }
    let statement = sharded(&[(20, 25), (0, 10), (10, 20)], &json!(10));
    read_statement(&statement).unwrap();
}

#[test]
fn shards_cover_a_file_once() {
    for shards in [
        &[(10, 20)][..],
        &[(0, 10), (20, 25)],
        &[(0, 10), (5, 15)],
        &[(0, 10), (0, 10)],
        &[(0, 10), (0, 20)],
        &[(0, 11)],
        &[(0, 9), (9, 19)],
        &[(0, 10), (10, 15), (15, 25)],
        &[(0, 25)],
    ] {
        let refused = code(read_statement(&sharded(shards, &json!(10))));
        assert_eq!(refused, "manifest.statement_unsafe", "{shards:?}");
    }
}

#[test]
fn sizes_of_shards_are_whole_numbers() {
    for size in [
        json!(0),
        json!(-10),
        json!(10.5),
        json!("10"),
        json!(null),
        json!(1e300),
        json!([10]),
    ] {
        let refused = code(read_statement(&sharded(&[(0, 10)], &size)));
        assert_eq!(refused, "manifest.statement_malformed", "{size}");
    }
    let mut statement = sharded(&[(0, 10)], &json!(10));
    let fields = statement["predicate"]["serialization"]
        .as_object_mut()
        .unwrap();
    fields.remove("shard_size");
    assert_eq!(
        code(read_statement(&statement)),
        "manifest.statement_malformed"
    );
    // Files have no shards.
    let mut statement = sound();
    statement["predicate"]["serialization"]["shard_size"] = json!(10);
    assert_eq!(
        code(read_statement(&statement)),
        "manifest.statement_malformed"
    );
}

#[test]
fn names_of_shards_are_refused_where_they_can_be_misread() {
    for name in [
        "a.bin",
        "a.bin:0",
        "a:b:0:10",
        "a.bin:0:010",
        "a.bin:10:0",
        "/a:0:10",
        "../a:0:10",
    ] {
        let mut statement = sharded(&[(0, 10)], &json!(10));
        statement["predicate"]["resources"][0]["name"] = json!(name);
        let refused = code(read_statement(&statement));
        assert_eq!(refused, "manifest.statement_unsafe", "{name}");
    }
}

#[test]
fn sha384_and_sha512_are_read() {
    for algorithm in [Algorithm::Sha384, Algorithm::Sha512] {
        let digest = Hasher::digest(algorithm, b"a");
        let mut statement = listing(&[("a", b"a")]);
        statement["subject"][0]["digest"]["sha256"] = json!(root(&[digest.as_bytes().to_vec()]));
        statement["predicate"]["serialization"]["hash_type"] = json!(algorithm.as_str());
        statement["predicate"]["resources"][0] = json!({
            "name": "a", "digest": hex(digest.as_bytes()), "algorithm": algorithm.as_str(),
        });
        let verified = read_statement(&statement).unwrap();
        verified.digest("a").unwrap().verify(&digest).unwrap();
        verified.check_bytes("a", b"a").unwrap();
        assert_eq!(
            code(verified.check_bytes("a", b"b")),
            "manifest.file_differs"
        );
        assert_eq!(code(verified.check_bytes("b", b"a")), "manifest.not_listed");
        assert_eq!(code(verified.digest("b")), "manifest.not_listed");
    }
}
