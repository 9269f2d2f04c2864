//! Directories and files, held to what was signed.

use std::{
    fs,
    ops::ControlFlow,
    os::unix::{ffi::OsStrExt, fs::symlink, net::UnixListener},
    path::Path,
};

use strongroom_verify::{
    Algorithm,
    manifest::{
        Evidence, Ignored, ManifestError, Options, Scope, Serialization, Signing, Trust, read, sign,
    },
};

use crate::support::{
    KEY, code, go_on, listing, model, read_statement, signed, statement_of, tree, verify,
    verify_ignoring,
};

fn ways() -> Vec<Options<'static>> {
    let shards = |size| Serialization::Shards { size };
    let way = |algorithm, serialization| Options {
        algorithm,
        serialization,
        ..Options::default()
    };
    vec![
        way(Algorithm::Sha256, Serialization::Files),
        way(Algorithm::Blake2b512, Serialization::Files),
        way(Algorithm::Blake3, Serialization::Files),
        way(Algorithm::Sha256, shards(1 << 16)),
        way(Algorithm::Sha256, shards(1_000)),
        way(Algorithm::Blake2b512, shards(300_000)),
    ]
}

/// Three files, none of them empty: shards can't list one that is.
fn full() -> tempfile::TempDir {
    tree(&[
        ("config.json", b"{}"),
        ("weights/a.gguf", &[7; 300_000]),
        ("weights/b.gguf", &[9; 7_000]),
    ])
}

fn signing_fails(root: &Path, options: &Options<'_>) -> &'static str {
    code(sign(root, &Signing::Key(&KEY), options, &mut go_on))
}

#[test]
fn what_was_signed_verifies_in_every_way() {
    for options in ways() {
        let model = full();
        let bundle = signed(model.path(), &options);
        let evidence: Evidence = verify(&bundle, model.path()).unwrap();
        assert_eq!((evidence.files, evidence.listed), (3, 3));
        assert_eq!(evidence.bytes, 307_002);
        assert_eq!(evidence.algorithm, options.algorithm);
        assert_eq!(evidence.serialization, options.serialization);
        assert_eq!(evidence.signer.key(), KEY.id());
        let directory = model.path().file_name().unwrap().to_str().unwrap();
        assert_eq!(evidence.model, directory);
    }
}

#[test]
fn every_changed_byte_count_and_file_is_found() {
    for options in ways() {
        let model = full();
        let bundle = signed(model.path(), &options);
        let path = model.path().join("weights/a.gguf");
        let good = fs::read(&path).unwrap();
        for position in [0, 1, 99_999, 1 << 17, 299_999] {
            let mut bytes = good.clone();
            bytes[position] ^= 1;
            fs::write(&path, &bytes).unwrap();
            let refused = verify(&bundle, model.path());
            assert_eq!(code(refused), "manifest.file_differs", "{position}");
        }
        for length in [0, 1, 299_999, 300_001, 400_000] {
            let mut bytes = good.clone();
            bytes.resize(length, 7);
            fs::write(&path, &bytes).unwrap();
            let refused = verify(&bundle, model.path());
            assert_eq!(code(refused), "manifest.file_differs", "{length}");
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(code(verify(&bundle, model.path())), "manifest.file_missing");
        fs::create_dir(&path).unwrap();
        assert_eq!(code(verify(&bundle, model.path())), "manifest.file_special");
        fs::remove_dir(&path).unwrap();
        fs::write(&path, &good).unwrap();
        verify(&bundle, model.path()).unwrap();
        fs::rename(&path, model.path().join("weights/c.gguf")).unwrap();
        assert_eq!(
            code(verify(&bundle, model.path())),
            "manifest.file_unlisted"
        );
    }
}

#[test]
fn the_signature_of_another_tree_is_refused() {
    let bundle = signed(model().path(), &Options::default());
    let other = tree(&[("other", b"x")]);
    assert_eq!(
        code(verify(&bundle, other.path())),
        "manifest.file_unlisted"
    );
    let empty = tree(&[]);
    assert_eq!(code(verify(&bundle, empty.path())), "manifest.file_missing");
    let nothing = other.path().join("nothing");
    assert_eq!(code(verify(&bundle, &nothing)), "manifest.io");
}

#[test]
fn a_file_that_was_not_signed_is_refused_unless_it_is_ignored() {
    let model = model();
    let bundle = signed(model.path(), &Options::default());
    for path in ["extra", ".hidden", "weights/pickle.bin", "new/deep/file"] {
        let path = model.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, b"").unwrap();
        let refused = verify(&bundle, model.path()).unwrap_err();
        assert_eq!(refused.code(), "manifest.file_unlisted");
        fs::remove_file(&path).unwrap();
    }
    // Empty directories hold nothing that could be loaded.
    verify(&bundle, model.path()).unwrap();
    fs::write(model.path().join("new/deep/file"), b"").unwrap();
    fs::write(model.path().join("other"), b"").unwrap();
    for ignored in [
        &["new", "other"][..],
        &["new/deep", "other"],
        &["new/deep/", "other"],
    ] {
        verify_ignoring(&bundle, model.path(), ignored).unwrap();
    }
    for ignored in [
        &["ne", "other"][..],
        &["new/dee", "other"],
        &["deep", "other"],
        &["new"],
    ] {
        let refused = verify_ignoring(&bundle, model.path(), ignored);
        assert_eq!(code(refused), "manifest.file_unlisted", "{ignored:?}");
    }
    for unusable in ["", "/", ".", "..", "../x", "/tmp", "a//b", "./new"] {
        let refused = verify_ignoring(&bundle, model.path(), &[unusable]);
        assert_eq!(code(refused), "manifest.ambiguous_name", "{unusable}");
    }
}

#[test]
fn ignoring_a_file_that_was_signed_does_not_spare_it() {
    let model = model();
    let bundle = signed(model.path(), &Options::default());
    fs::write(model.path().join("weights/a.gguf"), b"other").unwrap();
    let refused = verify_ignoring(&bundle, model.path(), &["weights", "config.json"]);
    assert_eq!(code(refused), "manifest.file_differs");
}

#[test]
fn the_signer_can_ignore_paths_and_they_are_recorded() {
    let model = model();
    let mut options = Options::default();
    for path in Ignored::GIT.into_iter().chain(["notes"]) {
        options.ignored.add(path).unwrap();
    }
    options
        .ignored
        .signature(model.path(), &model.path().join("model.sig"));
    fs::create_dir(model.path().join(".git")).unwrap();
    fs::write(model.path().join(".git/config"), b"x").unwrap();
    fs::create_dir(model.path().join("notes")).unwrap();
    fs::write(model.path().join("notes/a"), b"x").unwrap();
    let bundle = signed(model.path(), &options);
    fs::write(model.path().join("model.sig"), &bundle).unwrap();
    fs::write(model.path().join("notes/b"), b"later").unwrap();
    assert_eq!(verify(&bundle, model.path()).unwrap().listed, 3);
    let recorded = &statement_of(&bundle)["predicate"]["serialization"]["ignore_paths"];
    assert_eq!(
        *recorded,
        serde_json::json!([
            ".git",
            ".gitattributes",
            ".github",
            ".gitignore",
            "model.sig",
            "notes"
        ])
    );
}

#[test]
fn the_signatures_own_file_is_ignored_by_its_real_place() {
    let model = model();
    let bundle = signed(model.path(), &Options::default());
    let file = model.path().join("model.sig");
    fs::write(&file, &bundle).unwrap();
    assert_eq!(
        code(verify(&bundle, model.path())),
        "manifest.file_unlisted"
    );
    let verified = read(&bundle, &Trust::Key(KEY.public())).unwrap();
    let spelt = model.path().join("weights/../model.sig");
    for named in [&file, &spelt] {
        let mut ignored = Ignored::default();
        ignored.signature(model.path(), named);
        verified
            .check(model.path(), Scope::Everything, &ignored, &mut go_on)
            .unwrap();
    }
    // One that lies elsewhere ignores nothing here.
    let mut ignored = Ignored::default();
    ignored.signature(model.path(), &tree(&[]).path().join("model.sig"));
    let refused = verified.check(model.path(), Scope::Everything, &ignored, &mut go_on);
    assert_eq!(code(refused), "manifest.file_unlisted");
}

#[test]
fn a_single_file_is_its_own_model() {
    for options in ways() {
        let model = full();
        let path = model.path().join("weights/a.gguf");
        let bundle = signed(&path, &options);
        let name = statement_of(&bundle)["predicate"]["resources"][0]["name"].clone();
        assert!(name == "." || name.as_str().unwrap().starts_with(".:0:"));
        let evidence = verify(&bundle, &path).unwrap();
        assert_eq!((evidence.files, evidence.bytes), (1, 300_000));
        assert_eq!(evidence.model, "a.gguf");
        // Under another name it is the same content; another content it is not.
        let moved = model.path().join("moved");
        fs::rename(&path, &moved).unwrap();
        verify(&bundle, &moved).unwrap();
        assert_eq!(code(verify(&bundle, model.path())), "manifest.other_kind");
        fs::write(&moved, b"x").unwrap();
        assert_eq!(code(verify(&bundle, &moved)), "manifest.file_differs");
    }
    let model = model();
    let bundle = signed(model.path(), &Options::default());
    let file = model.path().join("config.json");
    assert_eq!(code(verify(&bundle, &file)), "manifest.other_kind");
}

#[test]
fn the_parts_of_a_split_model_are_signed_and_checked_without_their_neighbours() {
    let parts = ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"];
    let model = tree(&[
        (parts[0], &[1; 5_000]),
        (parts[1], &[2; 5_000]),
        ("README", b"x"),
    ]);
    let bundle = signed(
        model.path(),
        &Options {
            files: Some(&parts),
            ..Options::default()
        },
    );
    let verified = read(&bundle, &Trust::Key(KEY.public())).unwrap();
    assert_eq!(verified.names().collect::<Vec<_>>(), parts);
    let check = |names: &[&str]| {
        verified.check(
            model.path(),
            Scope::Files(names),
            &Ignored::default(),
            &mut go_on,
        )
    };
    let evidence = check(&parts).unwrap();
    assert_eq!((evidence.files, evidence.listed), (2, 2));
    assert_eq!(check(&parts[..1]).unwrap().files, 1);
    assert_eq!(code(check(&["README"])), "manifest.not_listed");
    assert_eq!(code(check(&[])), "manifest.empty");
    assert_eq!(code(check(&["../README"])), "manifest.not_listed");
    fs::write(model.path().join(parts[1]), [3; 5_000]).unwrap();
    check(&parts[..1]).unwrap();
    assert_eq!(code(check(&parts)), "manifest.file_differs");
    fs::remove_file(model.path().join(parts[1])).unwrap();
    assert_eq!(code(check(&parts)), "manifest.file_missing");
    // As a whole, the neighbour wasn't signed.
    assert_eq!(
        code(verify(&bundle, model.path())),
        "manifest.file_unlisted"
    );
}

#[test]
fn nothing_that_is_not_listed_is_opened() {
    let model = model();
    let bundle = signed(model.path(), &Options::default());
    // Opening a FIFO to read would be seen by its writer; reading the directory isn't allowed.
    let secret = model.path().join("secret");
    fs::create_dir(&secret).unwrap();
    fs::write(secret.join("file"), b"x").unwrap();
    let atime = |path: &Path| fs::metadata(path).unwrap().accessed().unwrap();
    let before = atime(&secret.join("file"));
    verify_ignoring(&bundle, model.path(), &["secret"]).unwrap();
    assert_eq!(
        code(verify(&bundle, model.path())),
        "manifest.file_unlisted"
    );
    assert_eq!(atime(&secret.join("file")), before);
    rustix::fs::mkfifoat(rustix::fs::CWD, secret.join("fifo"), rustix::fs::Mode::RUSR).unwrap();
    verify_ignoring(&bundle, model.path(), &["secret"]).unwrap();
}

#[test]
fn what_is_no_file_is_refused() {
    let model = model();
    let bundle = signed(model.path(), &Options::default());
    let fifo = model.path().join("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RUSR).unwrap();
    assert_eq!(code(verify(&bundle, model.path())), "manifest.file_special");
    assert_eq!(code(verify(&bundle, &fifo)), "manifest.file_special");
    assert_eq!(
        signing_fails(model.path(), &Options::default()),
        "manifest.file_special"
    );
    fs::remove_file(&fifo).unwrap();
    let socket = model.path().join("socket");
    let _listening = UnixListener::bind(&socket).unwrap();
    assert_eq!(code(verify(&bundle, model.path())), "manifest.file_special");
    fs::remove_file(&socket).unwrap();
    // In the place of a file that was signed.
    let listed = model.path().join("config.json");
    fs::remove_file(&listed).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &listed, rustix::fs::Mode::RUSR).unwrap();
    assert_eq!(code(verify(&bundle, model.path())), "manifest.file_special");
    let files: &[&str] = &["config.json"];
    let verified = read(&bundle, &Trust::Key(KEY.public())).unwrap();
    let refused = verified.check(
        model.path(),
        Scope::Files(files),
        &Ignored::default(),
        &mut go_on,
    );
    assert_eq!(code(refused), "manifest.file_special");
}

#[test]
fn symbolic_links_are_refused_unless_the_statement_allows_them() {
    let model = model();
    let bundle = signed(model.path(), &Options::default());
    symlink("config.json", model.path().join("link")).unwrap();
    assert_eq!(code(verify(&bundle, model.path())), "manifest.symlink");
    assert_eq!(
        signing_fails(model.path(), &Options::default()),
        "manifest.symlink"
    );
    verify_ignoring(&bundle, model.path(), &["link"]).unwrap();
    fs::remove_file(model.path().join("link")).unwrap();
    // In the place of a file, or of a directory above one, with the very same content.
    for listed in ["config.json", "weights"] {
        let real = model.path().join("real");
        fs::rename(model.path().join(listed), &real).unwrap();
        symlink("real", model.path().join(listed)).unwrap();
        let refused = verify_ignoring(&bundle, model.path(), &["real"]);
        assert_eq!(code(refused), "manifest.symlink", "{listed}");
        let verified = read(&bundle, &Trust::Key(KEY.public())).unwrap();
        let names: Vec<&str> = verified.names().collect();
        let refused = verified.check(
            model.path(),
            Scope::Files(&names),
            &Ignored::default(),
            &mut go_on,
        );
        assert_eq!(code(refused), "manifest.symlink", "{listed}");
        fs::remove_file(model.path().join(listed)).unwrap();
        fs::rename(&real, model.path().join(listed)).unwrap();
    }
}

#[test]
fn links_that_are_allowed_stay_in_the_tree() {
    let model = model();
    let options = Options {
        allow_symlinks: true,
        ..Options::default()
    };
    symlink("../config.json", model.path().join("weights/link")).unwrap();
    let bundle = signed(model.path(), &options);
    let evidence = verify(&bundle, model.path()).unwrap();
    assert_eq!(evidence.files, 4);
    let outside = tree(&[("config.json", b"{}")]);
    let target = outside.path().join("config.json");
    let link = model.path().join("weights/link");
    for target in [
        target.as_path(),
        Path::new("/etc/passwd"),
        Path::new("../../config.json"),
        Path::new("nowhere"),
        Path::new("link"),
        Path::new("/proc/self/cwd"),
        // Inside, but by the way of outside.
        model.path().join("config.json").as_path(),
    ] {
        fs::remove_file(&link).unwrap();
        symlink(target, &link).unwrap();
        let refused = verify(&bundle, model.path());
        assert_eq!(code(refused), "manifest.symlink_outside", "{target:?}");
        assert_eq!(
            signing_fails(model.path(), &options),
            "manifest.symlink_outside"
        );
        let verified = read(&bundle, &Trust::Key(KEY.public())).unwrap();
        let refused = verified.check(
            model.path(),
            Scope::Files(&["weights/link"]),
            &Ignored::default(),
            &mut go_on,
        );
        let refused = code(refused);
        assert!(
            [
                "manifest.symlink_outside",
                "manifest.file_missing",
                "manifest.symlink"
            ]
            .contains(&refused),
            "{refused}"
        );
    }
    fs::remove_file(&link).unwrap();
    symlink("a.gguf", &link).unwrap();
    assert_eq!(code(verify(&bundle, model.path())), "manifest.file_differs");
}

#[test]
fn links_to_directories_are_refused_however_they_are_met() {
    let allowed = |files| Options {
        allow_symlinks: true,
        files,
        ..Options::default()
    };
    let model = model();
    fs::create_dir(model.path().join("ignored")).unwrap();
    fs::write(model.path().join("ignored/unlisted.py"), b"").unwrap();
    let mut options = allowed(None);
    options.ignored.add("ignored").unwrap();
    let bundle = signed(model.path(), &options);
    verify(&bundle, model.path()).unwrap();
    // To what is ignored, to an ancestor, and to what is listed by its own name.
    let link = model.path().join("code");
    for target in ["ignored", ".", "weights"] {
        symlink(target, &link).unwrap();
        let refused = code(verify(&bundle, model.path()));
        assert_eq!(refused, "manifest.symlink_directory", "{target}");
        let refused = signing_fails(model.path(), &options);
        assert_eq!(refused, "manifest.symlink_directory", "{target}");
        fs::remove_file(&link).unwrap();
    }
    // A name behind one is neither signed nor found.
    symlink("weights", &link).unwrap();
    fs::write(model.path().join("weights/a"), b"a").unwrap();
    assert_eq!(
        signing_fails(model.path(), &allowed(Some(&["code/a"]))),
        "manifest.symlink_directory"
    );
    let mut statement = listing(&[("code/a", b"a")]);
    statement["predicate"]["serialization"]["allow_symlinks"] = true.into();
    let verified = read_statement(&statement).unwrap();
    let refused = verified.check(
        model.path(),
        Scope::Files(&["code/a"]),
        &Ignored::default(),
        &mut go_on,
    );
    assert_eq!(code(refused), "manifest.symlink_directory");
}

#[test]
fn a_listed_name_can_not_be_led_out_of_the_tree_by_its_directory() {
    let statement = listing(&[("weights/a", b"secret")]);
    let verified = read_statement(&statement).unwrap();
    let outside = tree(&[("a", b"secret")]);
    let model = tree(&[]);
    symlink(outside.path(), model.path().join("weights")).unwrap();
    let refused = verified.check(
        model.path(),
        Scope::Files(&["weights/a"]),
        &Ignored::default(),
        &mut go_on,
    );
    assert_eq!(code(refused), "manifest.symlink");
    assert_eq!(
        code(verified.check(
            model.path(),
            Scope::Everything,
            &Ignored::default(),
            &mut go_on
        )),
        "manifest.symlink"
    );
}

#[test]
fn names_that_are_no_text_are_refused() {
    let model = model();
    let bundle = signed(model.path(), &Options::default());
    let name = std::ffi::OsStr::from_bytes(b"\xff\x1b[2J");
    fs::write(model.path().join(name), b"x").unwrap();
    assert_eq!(
        code(verify(&bundle, model.path())),
        "manifest.file_unlisted"
    );
    assert_eq!(
        signing_fails(model.path(), &Options::default()),
        "manifest.ambiguous_name"
    );
}

#[test]
fn what_shards_can_not_list_is_refused_to_sign() {
    let options = Options {
        serialization: Serialization::Shards { size: 10 },
        ..Options::default()
    };
    assert_eq!(
        signing_fails(tree(&[("empty", b"")]).path(), &options),
        "manifest.unshardable"
    );
    let colon = tree(&[("a:0:5", b"x")]);
    assert_eq!(
        signing_fails(colon.path(), &options),
        "manifest.unshardable"
    );
    assert_eq!(signing_fails(tree(&[]).path(), &options), "manifest.empty");
    // An empty file beside shards was not signed, whatever the reference makes of it.
    let full = full();
    let options = Options {
        serialization: Serialization::Shards { size: 1 },
        ..Options::default()
    };
    assert_eq!(
        signing_fails(full.path(), &options),
        "manifest.bundle_too_large"
    );
    let options = Options {
        serialization: Serialization::Shards { size: 1_000 },
        ..Options::default()
    };
    let bundle = signed(full.path(), &options);
    fs::write(full.path().join("empty"), b"").unwrap();
    assert_eq!(code(verify(&bundle, full.path())), "manifest.file_unlisted");
}

#[test]
fn what_other_implementations_do_not_read_is_not_made() {
    let shards = Serialization::Shards { size: 1 << 20 };
    for (algorithm, serialization) in [
        (Algorithm::Sha384, Serialization::Files),
        (Algorithm::Sha512, Serialization::Files),
        (Algorithm::Blake3, shards),
        (Algorithm::Sha256, Serialization::Shards { size: 0 }),
    ] {
        let options = Options {
            algorithm,
            serialization,
            ..Options::default()
        };
        assert_eq!(
            signing_fails(full().path(), &options),
            "manifest.statement_unsupported"
        );
    }
    for files in [&["../x"][..], &["/etc/passwd"], &["."], &[""]] {
        let options = Options {
            files: Some(files),
            ..Options::default()
        };
        assert_eq!(
            signing_fails(full().path(), &options),
            "manifest.ambiguous_name"
        );
    }
    let options = Options {
        files: Some(&["config.json", "config.json"]),
        ..Options::default()
    };
    assert_eq!(
        signing_fails(full().path(), &options),
        "manifest.statement_unsafe"
    );
}

#[test]
fn progress_is_told_and_can_end_the_work() {
    // Enough for two threads.
    let model = tree(&[("a", &[1; 2_000_000]), ("b", &[2; 3_000_000])]);
    let bundle = signed(model.path(), &Options::default());
    let verified = read(&bundle, &Trust::Key(KEY.public())).unwrap();
    let mut told = Vec::new();
    let ignored = Ignored::default();
    verified
        .check(
            model.path(),
            Scope::Everything,
            &ignored,
            &mut |done, total| {
                told.push((done, total));
                ControlFlow::Continue(())
            },
        )
        .unwrap();
    assert_eq!(told.first(), Some(&(0, 5_000_000)));
    assert_eq!(told.last(), Some(&(5_000_000, 5_000_000)));
    assert!(told.is_sorted());
    let refused: Result<Evidence, ManifestError> =
        verified.check(model.path(), Scope::Everything, &ignored, &mut |_, _| {
            ControlFlow::Break(())
        });
    assert_eq!(code(refused), "manifest.cancelled");
    let refused = verified.check(model.path(), Scope::Everything, &ignored, &mut |done, _| {
        if done == 0 {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    });
    assert_eq!(code(refused), "manifest.cancelled");
}

#[test]
fn a_directory_without_end_is_refused() {
    let model = model();
    let bundle = signed(model.path(), &Options::default());
    let deep = model.path().join("d/".repeat(80));
    fs::create_dir_all(&deep).unwrap();
    assert_eq!(
        code(verify(&bundle, model.path())),
        "manifest.tree_too_large"
    );
    verify_ignoring(&bundle, model.path(), &["d"]).unwrap();
}
