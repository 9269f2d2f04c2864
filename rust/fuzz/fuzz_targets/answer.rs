//! The head of an answer: never a panic, and a part is taken only where it is the one asked for.

#![no_main]

use hyper::{
    StatusCode,
    header::{CONTENT_RANGE, HeaderMap, HeaderName, HeaderValue},
};
use libfuzzer_sys::fuzz_target;
use strongroom_fetch::answer::{Answer, Rest, Validator, judge};

fuzz_target!(|input: (u16, bool, Vec<(String, Vec<u8>)>)| {
    let (status, asked, fields) = input;
    let Ok(status) = StatusCode::from_u16(status) else {
        return;
    };
    let mut headers = HeaderMap::new();
    for (name, value) in fields.iter().take(100) {
        let name = HeaderName::from_bytes(name.as_bytes());
        let value = HeaderValue::from_bytes(value);
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    let rest = Rest {
        offset: 5,
        length: 10,
        validator: Validator::read("\"v\"").expect("a strong version"),
    };
    match judge(status, &headers, asked.then_some(&rest)) {
        Ok(Answer::Part) => {
            assert!(asked);
            assert_eq!(headers[CONTENT_RANGE], "bytes 5-9/10");
        }
        Ok(Answer::StartOver) => assert!(asked),
        Ok(Answer::Whole { .. }) => assert_eq!(status, StatusCode::OK),
        Ok(Answer::Redirect(_)) => assert!(status.is_redirection()),
        Err(_) => {}
    }
});
