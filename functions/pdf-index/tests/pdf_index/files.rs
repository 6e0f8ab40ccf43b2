//! Files that nobody should have written: each ends as an item, and the process lives on.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bellhop_pdf_index::pdf::Reading;
use bellhop_pdf_index::sandbox::{LARGEST_FILE, Limits, Sandbox};
use fastrand::Rng;
use futures::StreamExt as _;
use nix::sys::resource::{UsageWho, getrusage};

use crate::generate::{Document, hostile, stream, with_references, zeros};
use crate::ports::{Memory, indexer, sandbox};

/// How many mutated files there are, beside those that are cut off and those that attack.
const MUTATED: usize = 900;
/// How many children run at a time.
const AT_A_TIME: usize = 3;

/// What mutations put into a file.
const PIECES: [&[u8]; 24] = [
    b"<<",
    b">>",
    b"[",
    b"]",
    b"(",
    b")",
    b"<",
    b"/Kids",
    b"/Prev 9",
    b"/Length 99999999",
    b"/Filter /FlateDecode",
    b"/Type /ObjStm",
    b"/Type /Pages",
    b"/Encrypt << >>",
    b"stream\n",
    b"endstream",
    b"endobj",
    b"1 0 obj",
    b"2 0 R",
    b"trailer",
    b"startxref\n0",
    b"-2147483648",
    b"4294967296",
    b"99999999999999999999",
];

fn mutated(random: &mut Rng, of: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = random.choice(of).unwrap().clone();
    for _ in 0..random.usize(1..12) {
        let at = random.usize(..bytes.len().max(1));
        let end = bytes.len().min(at + random.usize(1..40));
        match random.u8(..7) {
            0 | 1 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = random.u8(..);
                }
            }
            2 => drop(bytes.drain(at..end)),
            3 => drop(bytes.splice(at..end, random.choice(PIECES).unwrap().iter().copied())),
            4 => drop(bytes.splice(at..at, random.choice(PIECES).unwrap().iter().copied())),
            5 => {
                let part = bytes.get(at..end).unwrap_or_default().to_vec();
                let to = random.usize(..bytes.len().max(1));
                drop(bytes.splice(to..to, part.repeat(random.usize(1..5))));
            }
            _ => {
                // Another number in place of a number.
                if let Some(digit) = (at..bytes.len()).find(|at| bytes[*at].is_ascii_digit()) {
                    let number = random.choice([0, 1, 2, 3, 9, 65_536, u64::MAX]).unwrap().to_string();
                    drop(bytes.splice(digit..=digit, number.into_bytes()));
                }
            }
        }
    }
    bytes
}

fn all_files() -> Vec<(String, Vec<u8>)> {
    let good = [
        Document::usual().plain(),
        Document::usual().compressed(),
        Document::new(1).plain(),
        Document::new(30).compressed(),
        Document::usual().with_trailer("/Encrypt << >> ").compressed(),
        crate::readings::ENCRYPTED.to_vec(),
    ];
    let mut files: Vec<(String, Vec<u8>)> = hostile().into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect();
    for (index, document) in good.iter().take(2).enumerate() {
        files.extend((0..document.len()).map(|length| (format!("{index} cut off after {length}"), document[..length].to_vec())));
    }
    let mut random = Rng::with_seed(20_260_302);
    files.extend((0..MUTATED).map(|number| (format!("mutation {number}"), mutated(&mut random, &good))));
    files
}

#[tokio::test]
async fn two_thousand_pdfs() {
    let memory = Arc::new(Memory::default());
    let indexer = indexer(&memory);
    let files = all_files();
    let count = files.len();
    assert!(count >= 2_000, "{count} files");
    let began = Instant::now();
    let results = futures::stream::iter(files).map(|(name, bytes)| {
        let (indexer, event) = (indexer.clone(), memory.store(&name, 1, bytes));
        async move {
            let began = Instant::now();
            let answer = indexer.handle(&event).await.unwrap();
            let result = answer[0]["result"].as_str().unwrap().to_owned();
            (name, result, began.elapsed())
        }
    });
    let results: Vec<(String, String, Duration)> = results.buffer_unordered(AT_A_TIME).collect().await;
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for (name, result, _) in &results {
        assert!(["indexed", "unreadable"].contains(&result.as_str()), "{name}: {result}");
        assert_eq!(memory.text(name, "status").as_ref(), Some(result), "{name}");
        *reasons.entry(memory.text(name, "why").unwrap_or("indexed".to_owned())).or_default() += 1;
    }
    assert_eq!(results.len(), count);
    // Bytes of the largest child, of which Linux also counts what it had of its parent.
    let peak = u64::try_from(getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss()).unwrap() * 1024;
    assert!(peak <= Limits::default().memory, "a child had {} MiB", peak >> 20);
    let (slowest, _, longest) = results.iter().max_by_key(|(_, _, took)| *took).unwrap();
    let told = format!(
        "{count} files in {:.1?}, the slowest, {slowest}, in {longest:.1?}; a child had up to {} MiB: {reasons:#?}",
        began.elapsed(),
        peak >> 20
    );
    // Not by a macro, whose output the test runner would keep to itself.
    writeln!(std::io::stdout(), "{told}").unwrap();
    // Most mutations leave something to read, and every other one does not.
    assert!(reasons["indexed"] > 400 && count - reasons["indexed"] > 400, "{told}");
    assert!(!reasons.keys().any(|why| why.contains("without an answer")), "{told}");
}

#[tokio::test]
async fn the_largest_file_is_read() {
    let fill = LARGEST_FILE - 4096;
    let mut document = Document::usual();
    document.objects.insert(10, stream("", &vec![b'x'; fill]));
    let bytes = document.plain();
    assert!(bytes.len() > fill && bytes.len() <= LARGEST_FILE);
    match sandbox().read(bytes).await.unwrap() {
        Reading::Metadata(metadata) => assert_eq!(metadata.pages, Some(3)),
        Reading::Unreadable { why } => panic!("{why}"),
    }
}

#[tokio::test]
async fn a_child_that_exceeds_a_limit_makes_the_file_unreadable() {
    let why = async |limits: Limits, bytes: Vec<u8>| {
        let sandbox = Sandbox { limits, ..sandbox() };
        match sandbox.read(bytes).await.unwrap() {
            Reading::Unreadable { why } => why,
            Reading::Metadata(metadata) => panic!("{metadata:?}"),
        }
    };
    let rows = hostile()
        .into_iter()
        .find(|(name, _)| *name == "a predictor with rows of 45 GB")
        .unwrap()
        .1;
    assert_eq!(why(Limits::default(), rows).await, "the parser needs more memory than it may have");
    let bomb = with_references("/W [1 4 2] /Size 153391689 /Filter /FlateDecode", &zeros(1 << 30));
    let usual = sandbox().limits;
    let with_little_memory = Limits {
        memory: 192 << 20,
        seconds: 30,
        ..usual
    };
    assert_eq!(
        why(with_little_memory, bomb.clone()).await,
        "the parser needs more memory than it may have"
    );
    let in_haste = Limits {
        patience: Duration::from_millis(1),
        ..usual
    };
    assert_eq!(why(in_haste, bomb.clone()).await, "the parser took more than 0 s");
    let without_time = Limits { seconds: 0, ..usual };
    assert_eq!(why(without_time, bomb).await, "the parser computed for more than 0 s");
}

#[tokio::test]
async fn a_child_that_cannot_start_is_a_failure_that_passes() {
    let sandbox = Sandbox {
        program: "/nowhere/pdf-index".into(),
        limits: Limits::default(),
    };
    let failure = sandbox.read(Vec::new()).await.unwrap_err();
    assert!(
        failure.is_transient && failure.what.starts_with("failed to start /nowhere/pdf-index: "),
        "{failure}"
    );
}
