//! Texts in pieces of any length: no secret in what is passed on, and nothing else missing.
#![expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]

use data_encoding::{BASE64, BASE64URL};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};
use proptest::prelude::*;

use super::*;

fn needles(secrets: &[&str]) -> Arc<Needles> {
    Arc::new(Needles::new(secrets.iter().copied()).unwrap().unwrap())
}

/// What comes of pieces, and what is still held then.
fn passed(secrets: &[&str], pieces: &[&str]) -> (String, String) {
    let mut masking = Masking::new(needles(secrets));
    let (mut passed, mut released) = (Vec::new(), Vec::new());
    for piece in pieces {
        masking.pass(piece.as_bytes(), &mut passed);
    }
    assert_eq!(masking.holds(), {
        masking.release(&mut released);
        !released.is_empty()
    });
    (String::from_utf8(passed).unwrap(), String::from_utf8(released).unwrap())
}

fn masked(secrets: &[&str], text: &str) -> String {
    String::from_utf8(needles(secrets).mask(text.as_bytes())).unwrap()
}

#[test]
fn a_secret_becomes_three_stars() {
    assert_eq!(
        masked(&["s3cret-token"], "login s3cret-token ok\ns3cret-token"),
        "login *** ok\n***"
    );
    assert_eq!(masked(&["s3cret-token"], "s3cret-toke\n"), "s3cret-toke\n");
    assert_eq!(masked(&["s3cret-token"], "s3cret-tokens3cret-token"), "***");
    assert!(Needles::new(["12345", " \n", ""]).unwrap().is_none());
}

#[test]
fn what_cannot_be_the_beginning_of_a_secret_is_passed_at_once() {
    let secret = ["s3cret-token"];
    assert_eq!(
        passed(&secret, &["an ordinary line\n"]),
        ("an ordinary line\n".to_owned(), String::new())
    );
    assert_eq!(passed(&secret, &["x s3cret"]), ("x ".to_owned(), "s3cret".to_owned()));
    assert_eq!(passed(&secret, &["x s3cret", "-token y"]), ("x *** y".to_owned(), String::new()));
    assert_eq!(passed(&secret, &["x s3cret", "s!"]), ("x s3crets!".to_owned(), String::new()));
}

#[test]
fn a_secret_that_is_the_beginning_of_another_waits_for_it() {
    let both = ["s3cret", "s3cret-token"];
    assert_eq!(passed(&both, &["s3cret"]), (String::new(), "***".to_owned()));
    assert_eq!(passed(&both, &["s3cret", "-token."]), ("***.".to_owned(), String::new()));
    assert_eq!(passed(&both, &["s3cret", "-t."]), ("***-t.".to_owned(), String::new()));
    assert_eq!(masked(&["abcdefgh", "efghijkl"], "abcdefghijkl"), "***", "they overlap");
    assert_eq!(masked(&["a-cdefgh-z", "cdefgh"], "a-cdefgh-y"), "a-***-y", "one in the other");
}

#[test]
fn what_was_released_is_shown_and_the_rest_is_not() {
    let mut masking = Masking::new(needles(&["s3cret-token"]));
    let mut out = Vec::new();
    masking.pass(b"x s3cr", &mut out);
    masking.release(&mut out);
    masking.pass(b"et-token y", &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), "x s3cr*** y");
}

#[test]
fn line_breaks_are_kept_and_do_not_hide_a_secret() {
    let secret = "a-secret-of-more-characters-than-a-line-of-base64-has-so-that-it-is-wrapped";
    let encoded = BASE64.encode(format!("password={secret}\n").as_bytes());
    for end in ["\n", "\r\n"] {
        let wrapped = encoded
            .as_bytes()
            .chunks(76)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect::<Vec<_>>()
            .join(end);
        let left = masked(&[secret], &format!("{wrapped}{end}"));
        assert_eq!(left, format!("cGFzc3dvcmQ9***{end}***Cg=={end}"), "{wrapped}");
    }
    assert_eq!(masked(&["s3cret-token"], "s3cret\n\n\n-token"), "s3cret\n\n\n-token");
}

#[test]
fn endless_line_breaks_are_not_held() {
    let mut masking = Masking::new(needles(&["s3cret-token"]));
    let mut out = Vec::new();
    masking.pass(b"s3cret", &mut out);
    for _ in 0..100 {
        masking.pass(b"\n", &mut out);
    }
    assert!(!masking.holds());
    assert_eq!(out.len(), 106);
}

#[test]
fn the_lines_of_a_key_are_masked_one_by_one() {
    let key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----\n";
    assert_eq!(masked(&[key], key), "***\n***\n***\n***\n");
    assert_eq!(masked(&[key], "  > hkiG9w0BAQEFAASC <"), "  > *** <");
    let whole = BASE64.encode(key.as_bytes());
    let wrapped: Vec<&str> = whole.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let left = masked(&[key], &wrapped.join("\n"));
    assert!(left.starts_with("***\n***"), "{left}");
    assert!(wrapped.iter().all(|line| line.len() < 8 || !left.contains(&line[..8])), "{left}");
}

/// What is printed of a secret, with what is around it.
fn prints() -> impl Strategy<Value = Vec<(String, usize, String)>> {
    prop::collection::vec(("[ab=\n -]{0,12}", 0..6_usize, "[ab \n]{0,3}"), 0..8)
}

/// What a percent-encoding leaves as it is.
const UNRESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A secret in one of its forms.
fn form(secret: &str, which: usize, before: &str) -> String {
    match which {
        0 => secret.to_owned(),
        1 => BASE64.encode(format!("{before}{secret}").as_bytes()),
        2 => BASE64URL.encode(format!("{before}{secret}xy").as_bytes()),
        3 => serde_json::Value::from(secret).to_string(),
        4 => percent_encoding::utf8_percent_encode(secret, &UNRESERVED).to_string(),
        _ => String::new(),
    }
}

/// The bytes that belong to an occurrence of a form, line breaks overlooked: by looking everywhere.
fn by_looking_everywhere(secrets: &[&str], text: &[u8]) -> Vec<u8> {
    let plain: Vec<(usize, u8)> = text.iter().copied().enumerate().filter(|(_, byte)| !is_break(*byte)).collect();
    let mut hidden = vec![false; text.len()];
    for form in secrets.iter().flat_map(|secret| forms::of(secret)) {
        for window in plain.windows(form.len()) {
            let together = window.windows(2).all(|pair| pair[1].0 - pair[0].0 <= BREAKS + 1);
            if together && window.iter().map(|(_, byte)| byte).eq(&form) {
                hidden[window[0].0..=window[form.len() - 1].0].fill(true);
            }
        }
    }
    let (mut masked, mut in_mask) = (Vec::new(), false);
    for (byte, hidden) in text.iter().zip(hidden) {
        let covered = hidden && !is_break(*byte);
        if !covered {
            masked.push(*byte);
        } else if !in_mask {
            masked.extend_from_slice(MASK);
        }
        in_mask = covered;
    }
    masked
}

proptest! {
    #[test]
    fn no_secret_is_passed_on_however_it_is_cut(
        secret in "[ab!/ é\"'-]{6,14}",
        other in "[ab]{6,8}",
        prints in prints(),
        cuts in prop::collection::vec(1..9_usize, 1..40),
    ) {
        let secret = secret.trim();
        prop_assume!(secret.len() >= forms::SHORTEST);
        let text: String = prints.iter().map(|(before, which, after)| format!("{before}{}{after}", form(secret, *which, before))).collect();
        let secrets = [secret, other.as_str()];
        let mut masking = Masking::new(needles(&secrets));
        let (mut out, mut rest, mut cuts) = (Vec::new(), text.as_bytes(), cuts.iter().cycle());
        while !rest.is_empty() {
            let (piece, more) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
            masking.pass(piece, &mut out);
            rest = more;
        }
        masking.release(&mut out);
        let expected = by_looking_everywhere(&secrets, text.as_bytes());
        prop_assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(&expected));
        for form in secrets.iter().flat_map(|secret| forms::of(secret)) {
            prop_assert!(!out.windows(form.len()).any(|window| window == form), "{:?}", String::from_utf8_lossy(&out));
        }
    }

    #[test]
    fn what_has_no_secret_is_passed_on_as_it_is(text in prop::collection::vec(any::<u8>(), 0..300), cuts in prop::collection::vec(1..50_usize, 1..9)) {
        let mut masking = Masking::new(needles(&["zq-zq-zq-zq", "a longer text of zq"]));
        let (mut out, mut rest, mut cuts) = (Vec::new(), &text[..], cuts.iter().cycle());
        while !rest.is_empty() {
            let (piece, more) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
            masking.pass(piece, &mut out);
            rest = more;
        }
        masking.release(&mut out);
        prop_assert_eq!(out, text);
    }
}
