//! References: what is read, what is refused, and that no accepted one leads to another host.
#![allow(clippy::too_many_lines, clippy::unwrap_used, missing_docs)]

mod support;

use strongroom_fetch::{Location, Origin, Reference, Remote};
use support::{remote, sound};

fn accepted(text: &str) -> Location {
    match text.parse() {
        Ok(Reference::Remote(Remote::Https(location))) => location,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn hosts_compare_after_parsing() {
    let origin: Origin = "https://models.test".parse().unwrap();
    for same in [
        "https://models.test/m",
        "HTTPS://models.test/m",
        "https://MODELS.Test/m",
        "https://models.test:443/m",
        "https://models.test:0443/m",
        "https://ｍodels.test/m",
    ] {
        assert_eq!(*accepted(same).origin(), origin, "{same}");
    }
    for other in [
        "https://models.test:444/m",
        "https://models.test.evil.com/m",
        "https://evilmodels.test/m",
        "https://mоdels.test/m", // Cyrillic
        "https://xn--mdels-tqa.test/m",
        "https://models.test-evil.com/m",
        "https://models.testevil/m",
        "https://test/models.test",
        "https://evil.com/?https://models.test/",
    ] {
        assert_ne!(*accepted(other).origin(), origin, "{other}");
    }
    // What is shown of a name in another script can't be taken for one in this.
    assert!(
        accepted("https://mоdels.test/m")
            .to_string()
            .contains("xn--")
    );
}

#[test]
fn what_parsers_disagree_about_is_refused() {
    for hostile in [
        "https://user@models.test/m",
        "https://user:SECRET@models.test/m",
        "https://@models.test/m",
        "https://:@models.test/m",
        "https://models.test@evil.com/m",
        "https://evil.com\\@models.test/m",
        "https://models.test\\evil.com/m",
        "https:\\\\models.test/m",
        "https:/models.test/m",
        "https:models.test/m",
        "https:///models.test/m",
        "https:////models.test/m",
        "https://",
        "https:///",
        "https://?",
        "https://models.test./m",
        "https://models.test../m",
        "https://models..test:/m",
        "https://models.test:/m",
        "https://models.test:0/m",
        "https://models.test:65536/m",
        "https://models.test:443:443/m",
        "https://models.test:-1/m",
        "https://models%2etest/m",
        "https://%6dodels.test/m",
        "https://models.test%00.evil.com/m",
        "https://mod els.test/m",
        "https://models.test/a b",
        "https://models.test/m\n",
        "https://mod\tels.test/m",
        "https://models.test/\0",
        "https://models.test/a/../b",
        "https://models.test/..",
        "https://models.test/./b",
        "https://models.test/%2e%2e/b",
        "https://models.test/%2E./b",
        "https://models.test/a%2fb",
        "https://models.test/a%2Fb",
        "https://models.test/a%5cb",
        "https://models.test/a%00",
        "https://models.test/a%0d%0aHost:%20evil.com",
        "https://models.test/a%252fb",
        "https://models.test/a%zz",
        "https://models.test/a%2",
        "https://models.test/m#part",
        // Addresses in notations that only some parsers read.
        "https://0x7f.0.0.1/m",
        "https://0177.0.0.1/m",
        "https://2130706433/m",
        "https://127.1/m",
        "https://127.0.0.1./m",
        "https://127.0.0.1.:443/m",
        "https://１２７.0.0.1/m",
        "https://[0:0:0:0:0:0:0:1]/m",
        "https://[::ffff:127.0.0.1]/m",
        "https://[::1%25lo]/m",
        "https://[::1/m",
        "https://::1/m",
        "https://256.1.1.1/m",
        // Other schemes.
        "http://models.test/m",
        "HTTP://models.test/m",
        "ftp://models.test/m",
        "ws://models.test/m",
        "s3://bucket/m",
        "javascript:alert(1)",
        "data:text/plain,x",
        // hf.
        "hf:org/repo/m",
        "hf:/org/repo/m",
        "hf://org/repo",
        "hf://org",
        "hf://",
        "hf:///repo/m",
        "hf://org//m",
        "hf://org/repo/",
        "hf://org/repo/a//b",
        "hf://org/repo/../m",
        "hf://org/repo/a/./m",
        "hf://org/repo/a%2fb",
        "hf://org/repo/a\\b",
        "hf://org/repo/a?x",
        "hf://org/repo/a#x",
        "hf://../repo/m",
        "hf://or g/repo/m",
        "hf://.org/repo/m",
        "hf://org/re..po/m",
        "hf://org/repo/m@",
        "hf://org/repo/m@a@b",
        "hf://org/repo/m@refs/pr/1",
        "hf://org/repo/m@..",
        "hf://org:443/repo/m",
        // file.
        "file:m.gguf",
        "file://host/m.gguf",
        "file://localhost/m.gguf",
        "file:",
        "file://",
        "file:///a%2fb",
        "file:///a%00b",
        "file:///a?b",
        "file:///a#b",
        "file:///a\\b",
        // No path.
        "",
        "./a\0b",
    ] {
        let Err(error) = hostile.parse::<Reference>() else {
            panic!("{hostile:?} is accepted");
        };
        sound(&error);
        assert_eq!(error.code(), "fetch.reference", "{hostile}");
    }
    // Without a scheme it would be a path; as a URL it is none.
    for hostile in [" https://models.test/m", "ht\ntps://models.test/m"] {
        assert!(hostile.parse::<Location>().is_err(), "{hostile:?}");
    }
    let long = format!("https://models.test/{}", "x".repeat(9000));
    assert!(long.parse::<Reference>().unwrap_err().to_string().len() < 300);
}

#[test]
fn an_address_may_be_a_host_in_its_usual_notation() {
    for usual in [
        "https://127.0.0.1/m",
        "https://[::1]:8443/m",
        "https://[2A00::1]/m",
    ] {
        accepted(usual);
    }
}

#[test]
fn paths_and_file_urls_are_local() {
    for (text, path) in [
        ("./model.gguf", "./model.gguf"),
        ("model.gguf", "model.gguf"),
        ("./https://x", "./https://x"),
        ("file:///models/m.gguf", "/models/m.gguf"),
        ("file:/models/m.gguf", "/models/m.gguf"),
        ("FILE:///a%20b", "/a b"),
        ("file:///a%c3%a4", "/aä"),
    ] {
        let local = Reference::Local(path.into());
        assert_eq!(text.parse::<Reference>().unwrap(), local, "{text}");
    }
}

#[test]
fn hf_is_https_underneath() {
    let endpoint: Origin = "https://huggingface.co".parse().unwrap();
    for (text, url) in [
        (
            "hf://org/repo/m.gguf@abc123",
            "https://huggingface.co/org/repo/resolve/abc123/m.gguf",
        ),
        (
            "hf://org/repo/a/b c+ä.gguf",
            "https://huggingface.co/org/repo/resolve/main/a/b%20c%2B%C3%A4.gguf",
        ),
        (
            "HF://O-1/r_2/m.gguf@v1.0",
            "https://huggingface.co/O-1/r_2/resolve/v1.0/m.gguf",
        ),
    ] {
        let Reference::Remote(remote) = text.parse().unwrap() else {
            panic!("{text}");
        };
        assert_eq!(remote.location(&endpoint).unwrap().to_string(), url);
        // The revision that was left out is said.
        assert!(remote.to_string().contains('@'), "{remote}");
    }
}

#[test]
fn a_host_of_the_policy_is_a_host_alone() {
    for text in [
        "https://models.test/path",
        "https://models.test/?x",
        "models.test",
        "http://models.test",
        "https://*.test/x",
        "",
    ] {
        assert!(text.parse::<Origin>().is_err(), "{text}");
    }
    assert_eq!(
        "https://Models.test:8443/"
            .parse::<Origin>()
            .unwrap()
            .to_string(),
        "https://models.test:8443"
    );
}

/// Words of URLs, put together at random: whatever is accepted, names the host between `//` and the
/// next `/`, to whoever reads it in the simplest way.
#[test]
fn no_accepted_url_is_of_another_host_than_it_says() {
    let words = [
        "https:",
        "//",
        "/",
        "\\",
        "models.test",
        "evil.com",
        "@",
        ":",
        "443",
        "8443",
        "?",
        "#",
        ".",
        "..",
        "%2f",
        "%2e",
        "%40",
        "127.0.0.1",
        "0x7f.1",
        "[::1]",
        "user",
        "\t",
        " ",
        "。",
        "K",
        "ß",
        "ｅ",
        "&",
        "=",
        "%",
        "%00",
        "-",
        "xn--",
        ";",
        "|",
        "\u{200d}",
        "\u{202e}",
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % bound as u64).unwrap()
    };
    let base: Location = "https://models.test/a/b".parse().unwrap();
    let (mut taken, mut joined) = (0, 0);
    for _ in 0..200_000 {
        let mut text = String::new();
        if random(4) > 0 {
            text.push_str("https://");
        }
        for _ in 0..=random(7) {
            text.push_str(words[random(words.len())]);
        }
        if let Ok(location) = text.parse::<Location>() {
            taken += 1;
            let simple = text[8..].split(['/', '?', '#']).next().unwrap();
            let host = simple
                .rsplit_once(':')
                .filter(|(host, _)| !host.ends_with(']') || host.starts_with('['));
            let host = host.map_or(simple, |(host, port)| {
                if port.bytes().all(|b| b.is_ascii_digit()) {
                    host
                } else {
                    simple
                }
            });
            if host.is_ascii() {
                let own = location.origin().host();
                assert_eq!(
                    host.to_ascii_lowercase().trim_matches(['[', ']']),
                    own,
                    "{text:?}"
                );
            }
            let shown = location.to_string();
            assert_eq!(
                *shown.parse::<Location>().unwrap().origin(),
                *location.origin(),
                "{text:?}"
            );
            assert!(!shown.contains('@') || !location.origin().to_string().contains('@'));
        }
        if let Ok(location) = base.join(&text)
            && location.origin() != base.origin()
        {
            joined += 1;
            // Only an authority of its own leads away.
            assert!(text.contains("//"), "{text:?}");
        }
    }
    assert!(taken > 1000 && joined > 1000, "{taken} {joined}");
}

#[test]
fn what_a_manifest_calls_a_source() {
    let name = |source: &str, manifest: Option<&str>| {
        let manifest = manifest.map(|text| remote(text).unwrap());
        remote(source).unwrap().name_in(manifest.as_ref())
    };
    let below = Some("https://a.example/acme/model.sig?token=x");
    for (source, manifest, expected) in [
        ("https://a.example/acme/m.gguf?token=y", below, "m.gguf"),
        ("https://a.example/acme/x/a%20m.gguf", below, "x/a m.gguf"),
        // From elsewhere: another folder, port, host or kind, and a file of this machine.
        ("https://a.example/other/m.gguf", below, "m.gguf"),
        ("https://a.example/acme2/m.gguf", below, "m.gguf"),
        ("https://a.example:8443/acme/x/m.gguf", below, "m.gguf"),
        ("https://b.example/acme/x/m.gguf", below, "m.gguf"),
        ("https://a.example/acme/x/m.gguf", None, "m.gguf"),
        ("hf://acme/models/x/m.gguf@v1", below, "x/m.gguf"),
        ("hf://acme/models/x/m.gguf@v1", None, "x/m.gguf"),
        (
            "hf://acme/models/x/m.gguf@v1",
            Some("hf://acme/models/x/model.sig@v1"),
            "m.gguf",
        ),
        (
            "hf://acme/models/x/m.gguf@v1",
            Some("hf://acme/models/x/model.sig@v2"),
            "x/m.gguf",
        ),
        (
            "hf://acme/models/x/m.gguf@v1",
            Some("hf://acme/other/x/model.sig@v1"),
            "x/m.gguf",
        ),
    ] {
        assert_eq!(
            name(source, manifest).as_deref(),
            Some(expected),
            "{source}"
        );
    }
    assert_eq!(name("https://a.example/acme/%ff.gguf", below), None);
}
