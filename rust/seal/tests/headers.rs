//! Headers that are odd, hostile, or as large as they can be.
#![allow(clippy::unwrap_used)]

mod support;

use std::fmt::Debug;

use strongroom_seal::{
    Cost, EncryptedDataKey, EncryptionContext, Header, KeyId, Keyring, MAX_CONTEXT, MAX_DATA_KEYS,
    PASSPHRASE_NAMESPACE, PassphraseKeyring, RawKeyring, SealError, Sealed, Secret, Writer,
};
use support::{context, open, raw, refused, seal, threads};
use zeroize::Zeroizing;

/// A header by hand, with a tag and an empty final frame that are right for nobody.
#[derive(Debug, Clone)]
struct Parts {
    start: Vec<u8>,
    context: Vec<u8>,
    count: u16,
    keys: Vec<u8>,
    end: Vec<u8>,
}

impl Parts {
    fn new() -> Self {
        let mut start = vec![2, 0x04, 0x78];
        start.extend([7; 32]);
        Self {
            start,
            context: Vec::new(),
            count: 1,
            keys: key(b"test", b"name", b"key"),
            end: [&[2, 0, 0, 16, 0][..], &[9; 32]].concat(),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        [
            &self.start[..],
            &u16::try_from(self.context.len()).unwrap().to_be_bytes(),
            &self.context,
            &self.count.to_be_bytes(),
            &self.keys,
            &self.end,
            &[0; 16],
        ]
        .concat()
    }

    fn code(&self) -> Result<(), &'static str> {
        Header::parse(&self.bytes())
            .map(drop)
            .map_err(|error| error.code())
    }
}

fn counted(part: &[u8]) -> Vec<u8> {
    [&u16::try_from(part.len()).unwrap().to_be_bytes(), part].concat()
}

fn key(provider: &[u8], info: &[u8], ciphertext: &[u8]) -> Vec<u8> {
    [counted(provider), counted(info), counted(ciphertext)].concat()
}

fn pairs(count: u16, texts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = count.to_be_bytes().to_vec();
    bytes.extend(texts.iter().flat_map(|text| counted(text)));
    bytes
}

#[test]
fn what_is_no_message_of_this_kind() {
    Parts::new().code().unwrap();
    for (bytes, expected) in [
        (&b""[..], "seal.not_sealed"),
        (b"GGUF\x03\0\0\0", "seal.not_sealed"),
        (b"\x02\x08\x79", "seal.not_sealed"),
        (b"\x03\x04\x78", "seal.not_sealed"),
        (b"\x01\x80\x01\x78", "seal.unsupported"),
        (b"\x02\x05\x78", "seal.unsupported"),
        (b"\x02\x04", "seal.truncated"),
        (b"\x02\x04\x78", "seal.truncated"),
    ] {
        assert_eq!(
            Header::parse(bytes).unwrap_err().code(),
            expected,
            "{bytes:?}"
        );
    }
    for (kind, length, expected) in [
        (1, 0, "seal.unsupported"),
        (0, 4096, "seal.malformed"),
        (3, 4096, "seal.malformed"),
        (2, 0, "seal.malformed"),
        (2, (16 << 20) + 1, "seal.limit"),
        (2, u32::MAX, "seal.limit"),
    ] {
        let mut parts = Parts::new();
        parts.end[0] = kind;
        parts.end[1..5].copy_from_slice(&length.to_be_bytes());
        assert_eq!(parts.code(), Err(expected), "{kind} {length}");
    }
}

#[test]
fn contexts_have_one_encoding() {
    for (context, good) in [
        (pairs(1, &[b"a", b"1"]), true),
        (pairs(1, &[b"", b""]), true),
        (pairs(2, &[b"a", b"1", b"b", b"2"]), true),
        // Sorted by their bytes, not by their letters.
        (pairs(2, &[b"Z", b"1", b"a", b"2"]), true),
        (
            pairs(2, &["z".as_bytes(), b"1", "ä".as_bytes(), b"2"]),
            true,
        ),
        (pairs(0, &[]), false),
        (vec![0], false),
        (pairs(1, &[b"a"]), false),
        (pairs(2, &[b"a", b"1"]), false),
        (pairs(1, &[b"a", b"1", b"b", b"2"]), false),
        (pairs(2, &[b"b", b"1", b"a", b"2"]), false),
        (pairs(2, &[b"a", b"1", b"a", b"2"]), false),
        (pairs(1, &[b"\xff", b"1"]), false),
        (pairs(1, &[b"a", b"\xc3"]), false),
        (pairs(1, &[b"aws-crypto-public-key", b"1"]), false),
        ([&pairs(1, &[b"a", b"1"])[..], &[0]].concat(), false),
        ([0, 1, 0xff, 0xff, 0, 0].to_vec(), false),
    ] {
        let mut parts = Parts::new();
        parts.context.clone_from(&context);
        let expected = if good { Ok(()) } else { Err("seal.malformed") };
        assert_eq!(parts.code(), expected, "{context:?}");
        if good {
            let header = Header::parse(&parts.bytes()).unwrap();
            assert_eq!(header.context().to_bytes(), context);
        }
    }
}

#[test]
fn contexts_that_cannot_be_written() {
    let mut context = EncryptionContext::new();
    for (key, value, reason) in [
        ("aws-crypto-x", "", "are the format's own"),
        (
            "a",
            &"x".repeat(MAX_CONTEXT),
            "more than the 65535 that fit",
        ),
        (
            "a",
            &"x".repeat(MAX_CONTEXT - 2 - 4),
            "more than the 65535 that fit",
        ),
    ] {
        let error = context.insert(key, value).unwrap_err();
        assert_eq!(error.code(), "seal.context_invalid");
        assert!(error.to_string().contains(reason), "{error}");
    }
    context
        .insert("a", "x".repeat(MAX_CONTEXT - 2 - 4 - 1))
        .unwrap();
    assert_eq!(context.to_bytes().len(), MAX_CONTEXT);
    assert_eq!(
        context.insert("", "").unwrap_err().code(),
        "seal.context_invalid"
    );
    let error = context.insert("a", "").unwrap_err();
    assert!(error.to_string().contains("twice"), "{error}");
}

#[test]
fn counts_of_data_keys() {
    let most = u16::try_from(MAX_DATA_KEYS).unwrap();
    for (count, expected) in [
        (0, Err("seal.malformed")),
        (most, Ok(())),
        (most + 1, Err("seal.limit")),
        (u16::MAX, Err("seal.limit")),
    ] {
        let mut parts = Parts::new();
        parts.count = count;
        parts.keys = key(b"p", b"i", b"k").repeat(count.into());
        assert_eq!(parts.code(), expected, "{count}");
    }
    // Fewer than there are is what follows misread; more is what doesn't.
    let mut parts = Parts::new();
    parts.count = 2;
    assert!(parts.code().is_err());
    parts.count = 1;
    parts.keys = key(b"\xff", b"i", b"k");
    assert_eq!(parts.code(), Err("seal.malformed"));
}

#[test]
fn a_header_is_bounded_as_a_whole() {
    let long = vec![0; 65_535];
    let mut parts = Parts::new();
    parts.context = pairs(1, &[b"a", &vec![b'x'; MAX_CONTEXT - 2 - 4 - 1]]);
    parts.count = 2;
    parts.keys = key(b"p", &long, &long).repeat(2);
    parts.code().unwrap();
    parts.count = 9;
    parts.keys = key(b"p", &long, &long).repeat(9);
    assert_eq!(parts.code(), Err("seal.limit"));
    // Also where the file ends before: nobody reads half a megabyte to say that it isn't whole.
    parts.keys.truncate(1000);
    assert!(["seal.truncated", "seal.malformed"].contains(&parts.code().unwrap_err()));
}

/// Wraps data keys in something as long as it can be, and unwraps none.
#[derive(Debug)]
struct Long(usize);

impl Keyring for Long {
    fn id(&self) -> KeyId {
        KeyId::new("long", "")
    }

    fn wrap(&self, _: &Secret, _: &EncryptionContext) -> Result<EncryptedDataKey, SealError> {
        EncryptedDataKey::new("long".to_owned(), vec![1; self.0], vec![2; self.0])
    }

    fn unwrap(
        &self,
        _: &[EncryptedDataKey],
        _: &EncryptionContext,
    ) -> Result<Option<Secret>, SealError> {
        Ok(None)
    }
}

#[test]
fn the_largest_headers_that_are_written_are_read() {
    let a = raw("a", 1);
    let mut full = EncryptionContext::new();
    full.insert("k", "x".repeat(MAX_CONTEXT - 2 - 4 - 1))
        .unwrap();
    let long = Long(u16::MAX.into());
    let round = |keyrings: &[&dyn Keyring]| {
        let mut sealed = Vec::new();
        Writer::new(keyrings, &full)?.seal(
            threads(2),
            |_| Ok(0),
            |bytes| {
                sealed.extend_from_slice(bytes);
                Ok::<_, SealError>(())
            },
        )?;
        let opened = Sealed::open(&sealed[..], &[&a], &full)?;
        assert_eq!(opened.header().data_keys().len(), keyrings.len());
        assert_eq!(opened.length(), 0);
        Ok::<_, SealError>(())
    };
    round(&[&long, &long, &a]).unwrap();
    let mut many: Vec<&dyn Keyring> = vec![&a; MAX_DATA_KEYS];
    round(&many).unwrap();
    many.push(&a);
    assert_eq!(round(&many).unwrap_err().code(), "seal.limit");
    let too_long: Vec<&dyn Keyring> = vec![&long, &long, &long, &long, &a];
    assert_eq!(round(&too_long).unwrap_err().code(), "seal.limit");
    assert_eq!(round(&[]).unwrap_err().code(), "seal.no_key");
    assert_eq!(round(&[&Long(65_536)]).unwrap_err().code(), "seal.limit");
}

#[test]
fn names_of_keys() {
    let secret = Secret::from_hex(&[b'0'; 64], "the test").unwrap();
    for (namespace, name) in [
        ("", "a"),
        ("a", ""),
        ("aws-kms", "a"),
        ("a\n", "a"),
        ("a", "\0"),
        ("a", &"x".repeat(1025)),
    ] {
        let error = RawKeyring::new(namespace, name, &secret).unwrap_err();
        assert_eq!(error.code(), "seal.key_name");
    }
    let keyring = RawKeyring::new("ns", "ключ", &secret).unwrap();
    assert_eq!(keyring.id().to_string(), "ns/ключ");
    // Names out of a file are shown on one line, and short.
    let mut parts = Parts::new();
    parts.keys = key(b"evil\n\x1b[31m", &[b'n'; 3000], b"k");
    let header = Header::parse(&parts.bytes()).unwrap();
    let id = header.data_keys()[0].id().to_string();
    assert!(
        id.starts_with("evil\\n\\u{1b}[31m/nnn") && id.chars().count() < 250,
        "{id}"
    );
}

#[test]
fn keys_are_not_printed() {
    let secret = Secret::from_hex(&[b'a'; 64], "the test").unwrap();
    let passphrase = Zeroizing::new(b"aaaaaaaa".to_vec());
    let shown = |value: &dyn Debug| format!("{value:?} {value:#?}");
    let keyring = RawKeyring::new("n", "m", &secret).unwrap();
    let writer = Writer::new(&[&keyring], &context()).unwrap();
    let sealed = seal(b"aaaa", 16, &[&keyring], 1);
    let sealed = Sealed::open(&sealed[..], &[&keyring], &context()).unwrap();
    let words = PassphraseKeyring::new(passphrase, Cost::default()).unwrap();
    for shown in [
        shown(&secret),
        shown(&keyring),
        shown(&words),
        shown(&writer),
        shown(&sealed.scratch().unwrap()),
    ] {
        assert!(
            !shown.contains("aaaa") && !shown.contains("170, 170"),
            "{shown}"
        );
    }
}

#[test]
fn derivations_that_a_file_asks_for_are_bounded() {
    let words = PassphraseKeyring::new(
        Zeroizing::new(b"word".to_vec()),
        Cost::new(Cost::MIN_MEMORY, 1, 1).unwrap(),
    )
    .unwrap();
    let good = "$argon2id$v=19$m=8192,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA";
    let info = |name: &str| {
        let lengths = [0, 0, 0, 128, 0, 0, 0, 12];
        [name.as_bytes(), &lengths, &[0; 12]].concat()
    };
    let asked = |names: &[String]| {
        let keys: Vec<_> = names
            .iter()
            .map(|name| {
                let provider = PASSPHRASE_NAMESPACE.to_owned();
                EncryptedDataKey::new(provider, info(name), vec![0; 48]).unwrap()
            })
            .collect();
        words.unwrap(&keys, &context()).unwrap_err().code()
    };
    assert_eq!(asked(&[good.to_owned()]), "seal.authentication");
    for (from, to) in [
        ("argon2id", "argon2i"),
        ("v=19", "v=16"),
        ("m=8192", "m=8191"),
        ("m=8192", "m=1048577"),
        ("m=8192", "m=4294967295"),
        ("m=8192", "m=99999999999999999999"),
        ("m=8192", "m=08192"),
        ("m=8192", "m=+8192"),
        ("t=1", "t=0"),
        ("t=1", "t=17"),
        ("p=1", "p=0"),
        ("p=1", "p=17"),
        ("p=1", "p=1,data=AAAA"),
        ("$AAAAAAAAAAAAAAAAAAAAAA", "$AAAAAAAAAAAAAAAAAAAAAB"),
        ("$AAAAAAAAAAAAAAAAAAAAAA", "$AAAAAAAAAAAAAAAAAAAAAA=="),
        ("$AAAAAAAAAAAAAAAAAAAAAA", "$AAAAAAAAAAAAAAAAAAAAAA$"),
        ("$AAAAAAAAAAAAAAAAAAAAAA", "$AAAA"),
        ("$AAAAAAAAAAAAAAAAAAAAAA", ""),
        ("AAAAAAAAAAAAAAAAAAAAAA", &"A".repeat(88)),
    ] {
        let name = good.replacen(from, to, 1);
        assert_ne!(name, good);
        assert_eq!(asked(std::slice::from_ref(&name)), "seal.cost", "{name}");
    }
    // Each inside its bounds, but together more than one may cost.
    let many: Vec<String> = (0..17)
        .map(|number| {
            let salt = format!("${}{}", char::from(b'A' + number), "A".repeat(21));
            good.replace("m=8192,t=1", "m=1048576,t=1")
                .replace("$AAAAAAAAAAAAAAAAAAAAAA", &salt)
        })
        .collect();
    assert_eq!(asked(&many), "seal.cost");
    for (memory, passes, lanes) in [
        (Cost::MIN_MEMORY - 1, 1, 1),
        (Cost::MAX_MEMORY + 1, 1, 1),
        (Cost::MIN_MEMORY, 0, 1),
        (Cost::MIN_MEMORY, 17, 1),
        (Cost::MIN_MEMORY, 1, 0),
        (Cost::MIN_MEMORY, 1, 17),
        (Cost::MAX_MEMORY, 5, 1),
    ] {
        assert_eq!(
            Cost::new(memory, passes, lanes).unwrap_err().code(),
            "seal.cost"
        );
    }
    let none = PassphraseKeyring::new(Zeroizing::new(Vec::new()), Cost::default());
    assert_eq!(none.unwrap_err().code(), "seal.passphrase");
}

#[test]
fn raw_data_keys_that_are_none() {
    let keyring = raw("a", 1);
    let sealed = seal(b"x", 16, &[&keyring], 1);
    let header = Header::parse(&sealed).unwrap();
    let real = &header.data_keys()[0];
    let unwrap = |info: Vec<u8>, ciphertext: Vec<u8>| {
        let key = EncryptedDataKey::new("test".to_owned(), info, ciphertext).unwrap();
        keyring.unwrap(&[key], &context())
    };
    let (info, ciphertext) = (real.info().to_vec(), real.ciphertext().to_vec());
    assert!(unwrap(info.clone(), ciphertext.clone()).unwrap().is_some());
    for length in [0, 1, 16, 47] {
        let error = unwrap(info.clone(), ciphertext[..length].to_vec()).unwrap_err();
        assert_eq!(error.code(), "seal.authentication");
    }
    let error = unwrap(info.clone(), [&ciphertext[..], &[0]].concat()).unwrap_err();
    assert_eq!(error.code(), "seal.authentication");
    // Another name, another length of tag or vector, or no vector: it is none of ours.
    for length in 0..info.len() {
        assert!(
            unwrap(info[..length].to_vec(), ciphertext.clone())
                .unwrap()
                .is_none()
        );
    }
    for position in 0..9 {
        let mut other = info.clone();
        other[position] ^= 1;
        assert!(unwrap(other, ciphertext.clone()).unwrap().is_none());
    }
    assert_eq!(refused(&sealed, &[&raw("ab", 1)]), "seal.no_key");
    assert_eq!(open(&sealed, &[&keyring]).unwrap(), b"x");
}
