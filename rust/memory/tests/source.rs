//! What can't become an image: every kind of path, and files that change while they are read.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    io::{Seek, SeekFrom, Write},
    ops::ControlFlow,
    os::unix::{fs::symlink, net::UnixListener},
    path::{Path, PathBuf},
    process::Command,
};

use rustix::fs::{CWD, FileType, Mode};
use strongroom_memory::{CODES, Source, SourceError, Unproven, image};
use strongroom_verify::Algorithm;
use tempfile::TempDir;

/// Enough for the pipeline to be in full swing when the callback is called in between.
const SIZE: usize = 12 << 20;

fn read(path: &Path) -> Result<Unproven, SourceError> {
    image::read(path, &[Algorithm::Sha256], None, &mut |_, _| {
        ControlFlow::Continue(())
    })
}

fn code(path: &Path) -> &'static str {
    let error = read(path).unwrap_err();
    assert!(CODES.contains(&error.code()));
    assert!(!error.next_step().is_empty());
    assert!(
        error
            .to_string()
            .contains(path.file_name().unwrap().to_str().unwrap()),
        "{error}"
    );
    error.code()
}

fn file(directory: &TempDir, size: usize) -> PathBuf {
    let path = directory.path().join("model.gguf");
    let bytes: Vec<u8> = (0..=250).cycle().take(size).collect();
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn missing() {
    let directory = TempDir::new().unwrap();
    assert_eq!(code(&directory.path().join("none")), "source.missing");
    let file = file(&directory, 1);
    assert_eq!(code(&file.join("below-a-file")), "source.missing");
}

#[test]
fn empty() {
    let directory = TempDir::new().unwrap();
    assert_eq!(code(&file(&directory, 0)), "source.empty");
}

#[test]
fn directory() {
    let directory = TempDir::new().unwrap();
    assert_eq!(code(directory.path()), "source.directory");
}

#[test]
fn fifo_without_a_writer_does_not_hang() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("fifo");
    rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
    assert_eq!(code(&path), "source.special");
}

#[test]
fn socket_and_devices() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("socket");
    let _listener = UnixListener::bind(&path).unwrap();
    assert_eq!(code(&path), "source.special");
    for device in ["/dev/zero", "/dev/null", "/dev/tty"] {
        assert_eq!(code(Path::new(device)), "source.special", "{device}");
    }
}

#[test]
fn a_path_with_a_nul_byte() {
    let error = read(Path::new("model\0.gguf")).unwrap_err();
    assert_eq!(error.code(), "source.io");
}

#[test]
fn symbolic_links_are_followed_and_loops_are_refused() {
    let directory = TempDir::new().unwrap();
    let link = directory.path().join("link");
    symlink(file(&directory, 9), &link).unwrap();
    assert_eq!(read(&link).unwrap().danger_accept().len(), 9);
    let around = directory.path().join("loop");
    symlink(&around, &around).unwrap();
    assert_eq!(code(&around), "source.io");
}

#[test]
fn a_file_of_which_the_user_has_no_right() {
    // Permissions don't bind root, so the reading happens in this test's child, as an ordinary user.
    let directory = TempDir::new().unwrap();
    let path = file(&directory, 9);
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    if !rustix::process::geteuid().is_root() {
        assert_eq!(code(&path), "source.unreadable");
        return;
    }
    // The user must be able to reach the executable and the file.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(directory.path(), open).unwrap();
    let program = directory.path().join("test");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let output = std::os::unix::process::CommandExt::uid(&mut Command::new(&program), 65_534)
        .args(["--exact", "as_an_ordinary_user", "--ignored"])
        .env("STRONGROOM_UNREADABLE", &path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
}

#[test]
#[ignore = "the child of a_file_of_which_the_user_has_no_right"]
fn as_an_ordinary_user() {
    assert!(!rustix::process::geteuid().is_root());
    let path = std::env::var_os("STRONGROOM_UNREADABLE").unwrap();
    assert_eq!(code(Path::new(&path)), "source.unreadable");
}

#[test]
fn more_than_the_memory_is_refused_before_a_page_is_filled() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("huge");
    // Sparse: it takes no room on the disk.
    fs::File::create(&path).unwrap().set_len(1 << 42).unwrap();
    let mut calls = 0;
    let error = image::read(&path, &[], None, &mut |_, _| {
        calls += 1;
        ControlFlow::Continue(())
    })
    .unwrap_err();
    assert_eq!(error.code(), "source.too_large");
    assert_eq!(calls, 0);
}

/// Reads a file of [`SIZE`] bytes, doing `harm` to it at the first report after the start.
fn read_while(harm: impl Fn(&Path)) -> Result<Unproven, SourceError> {
    let directory = TempDir::new().unwrap();
    let path = file(&directory, SIZE);
    let mut done_harm = false;
    let result = image::read(&path, &[], None, &mut |done, total| {
        assert_eq!(total, SIZE as u64);
        if done > 0 && !done_harm {
            assert!(done < total);
            harm(&path);
            done_harm = true;
        }
        ControlFlow::Continue(())
    });
    assert!(done_harm);
    result
}

fn open(path: &Path) -> fs::File {
    fs::OpenOptions::new().write(true).open(path).unwrap()
}

#[test]
fn truncated_while_it_is_read() {
    let error = read_while(|path| open(path).set_len(5 << 20).unwrap()).unwrap_err();
    assert_eq!(error.code(), "source.changed");
    assert!(error.to_string().contains("truncated"), "{error}");
}

#[test]
fn emptied_while_it_is_read() {
    let error = read_while(|path| open(path).set_len(0).unwrap()).unwrap_err();
    assert_eq!(error.code(), "source.changed");
}

#[test]
fn extended_while_it_is_read() {
    let error = read_while(|path| {
        let mut file = open(path);
        file.seek(SeekFrom::End(0)).unwrap();
        file.write_all(b"more").unwrap();
    })
    .unwrap_err();
    assert_eq!(error.code(), "source.changed");
    assert!(error.to_string().contains("grew"), "{error}");
}

#[test]
fn rewritten_while_it_is_read() {
    let error = read_while(|path| {
        // Where it has been read already: the bytes alone could not tell.
        open(path).write_all(b"other").unwrap();
    })
    .unwrap_err();
    assert_eq!(error.code(), "source.changed");
    assert!(error.to_string().contains("written"), "{error}");
}

#[test]
fn replaced_while_it_is_read() {
    // The file that was opened is read to its end: the new one at its path plays no part.
    let image = read_while(|path| {
        fs::remove_file(path).unwrap();
        fs::write(path, b"another file").unwrap();
    })
    .unwrap()
    .danger_accept();
    assert_eq!(image.len(), SIZE);
    assert!(
        (0..=250)
            .cycle()
            .zip(image.map().unwrap().iter())
            .all(|(a, &b)| a == b)
    );
}

#[test]
fn cancelled_at_every_report() {
    let directory = TempDir::new().unwrap();
    let path = file(&directory, SIZE);
    let mut reports = 0;
    image::read(&path, &[], None, &mut |_, _| {
        reports += 1;
        ControlFlow::Continue(())
    })
    .unwrap();
    assert!(reports > 2, "{reports}");
    for last in 1..=reports {
        let mut seen = 0;
        let error = image::read(&path, &[], None, &mut |_, _| {
            seen += 1;
            if seen == last {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })
        .unwrap_err();
        assert_eq!(error.code(), "source.cancelled");
        assert_eq!(seen, last);
    }
}

#[test]
fn progress_rises_to_the_size_and_is_not_called_often() {
    let directory = TempDir::new().unwrap();
    let path = file(&directory, SIZE);
    let mut seen = Vec::new();
    image::read(&path, &[], None, &mut |done, total| {
        assert_eq!(total, SIZE as u64);
        seen.push(done);
        ControlFlow::Continue(())
    })
    .unwrap();
    assert!(seen.is_sorted());
    assert_eq!(seen.first(), Some(&0));
    assert_eq!(seen.last(), Some(&(SIZE as u64)));
    assert!(seen.len() <= 2 + SIZE / (4 << 20), "{seen:?}");
}

#[test]
fn the_codes_are_sorted_and_of_one_noun() {
    assert!(CODES.is_sorted());
    assert!(CODES.iter().all(|code| code.starts_with("source.")));
}

#[test]
fn a_file_over_the_limit_is_refused_before_it_is_read() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("model.gguf");
    fs::write(&path, [1; 1000]).unwrap();
    let mut calls = 0;
    let mut read = |limit| {
        image::read(&path, &[], Some(limit), &mut |_, _| {
            calls += 1;
            ControlFlow::Continue(())
        })
    };
    let error = read(999).unwrap_err();
    assert_eq!(error.code(), "source.over_limit");
    let message = error.to_string();
    assert!(
        message.contains("memory_limit") && message.contains("999") && message.contains("1000")
    );
    assert_eq!(read(1000).unwrap().danger_accept().len(), 1000);
    assert_eq!(calls, 2, "called for the one that was read");
}

#[test]
fn the_real_path_is_that_of_the_file_that_is_read() {
    let directory = TempDir::new().unwrap();
    let root = directory.path().canonicalize().unwrap();
    let path = file(&directory, 10);
    let link = directory.path().join("link.gguf");
    symlink(&path, &link).unwrap();
    let expected = root.join("model.gguf");
    assert_eq!(read(&link).unwrap().real_path(), Some(expected.as_path()));

    let source = Source::open(&link).unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(source.real_path(), None, "it has no name any more");
    // Neither its old name nor the one that the kernel shows is its own when another file has it.
    fs::write(&path, [1]).unwrap();
    fs::write(root.join("model.gguf (deleted)"), [1]).unwrap();
    assert_eq!(source.real_path(), None);

    let source = Source::open(&path).unwrap();
    fs::rename(&path, root.join("moved.gguf")).unwrap();
    assert_eq!(source.real_path(), Some(root.join("moved.gguf")));
}
