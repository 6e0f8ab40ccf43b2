//! Writes PDF files: good ones in several forms, and by hand what no program writes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

const HEADER: &[u8] = b"%PDF-1.7\n";

/// A small document. Object 1 is the catalogue, 2 the root of the pages, 3 the information, and pages follow.
#[derive(Clone)]
pub(crate) struct Document {
    pub(crate) objects: BTreeMap<u32, Vec<u8>>,
    /// What else the trailer has.
    pub(crate) trailer: String,
    information: String,
}

impl Document {
    pub(crate) fn new(pages: u32) -> Self {
        let kids: String = (4..4 + pages).fold(String::new(), |mut kids, number| {
            write!(kids, "{number} 0 R ").unwrap();
            kids
        });
        let mut document = Self {
            objects: BTreeMap::new(),
            trailer: String::new(),
            information: String::new(),
        };
        document.put(1, "<< /Type /Catalog /Pages 2 0 R >>");
        document.put(2, &format!("<< /Type /Pages /Kids [ {kids}] /Count {pages} >>"));
        for number in 4..4 + pages {
            document.put(number, "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] >>");
        }
        document
    }

    /// Replaces an object.
    pub(crate) fn put(&mut self, number: u32, text: &str) {
        self.objects.insert(number, text.as_bytes().to_vec());
    }

    pub(crate) fn with(mut self, number: u32, text: &str) -> Self {
        self.put(number, text);
        self
    }

    /// Adds an entry of the information, in PDF's own notation.
    pub(crate) fn with_info(mut self, name: &str, value: &str) -> Self {
        write!(self.information, "/{name} {value} ").unwrap();
        self.objects.insert(3, format!("<< {}>>", self.information).into_bytes());
        self
    }

    pub(crate) fn with_trailer(mut self, text: &str) -> Self {
        self.trailer.push_str(text);
        self
    }

    /// The whole document with some of everything, as most programs write it.
    pub(crate) fn usual() -> Self {
        Self::new(3)
            .with_info("Title", "(A title with \\(brackets\\) and \\344)")
            .with_info("Author", "<FEFF0041006E006E006100200160>")
            .with_info("CreationDate", "(D:20260302101530+01'00')")
            .with_info("Producer", "(a test)")
    }

    fn trailer(&self) -> String {
        let size = self.objects.keys().max().unwrap() + 1;
        let information = if self.objects.contains_key(&3) { "/Info 3 0 R " } else { "" };
        format!("/Size {size} /Root 1 0 R {information}{}", self.trailer)
    }

    /// With a table of references.
    pub(crate) fn plain(&self) -> Vec<u8> {
        let (mut bytes, offsets) = self.body();
        let start = bytes.len();
        let mut table = format!("xref\n0 {}\n0000000000 65535 f \n", self.objects.keys().max().unwrap() + 1);
        for number in 1..=*self.objects.keys().max().unwrap() {
            match offsets.get(&number) {
                Some(offset) => writeln!(table, "{offset:010} 00000 n ").unwrap(),
                None => table.push_str("0000000000 65535 f \n"),
            }
        }
        write!(table, "trailer\n<< {}>>\nstartxref\n{start}\n%%EOF\n", self.trailer()).unwrap();
        bytes.extend_from_slice(table.as_bytes());
        bytes
    }

    /// The header and all objects, and where they are.
    fn body(&self) -> (Vec<u8>, BTreeMap<u32, usize>) {
        let (mut bytes, mut offsets) = (HEADER.to_vec(), BTreeMap::new());
        for (number, object) in &self.objects {
            offsets.insert(*number, bytes.len());
            bytes.extend_from_slice(&indirect(*number, object));
        }
        (bytes, offsets)
    }

    /// With everything in an object stream, and a stream of references.
    pub(crate) fn compressed(&self) -> Vec<u8> {
        let mut bytes = HEADER.to_vec();
        let last = *self.objects.keys().max().unwrap();
        let (holder, references) = (last + 1, last + 2);
        let (mut index, mut content) = (String::new(), Vec::new());
        let mut entries = vec![[0; 7]; usize::try_from(references).unwrap() + 1];
        for (position, (number, object)) in self.objects.iter().enumerate() {
            write!(index, "{number} {} ", content.len()).unwrap();
            content.extend_from_slice(object);
            content.push(b'\n');
            entries[usize::try_from(*number).unwrap()] = entry(2, holder, u16::try_from(position).unwrap());
        }
        entries[usize::try_from(holder).unwrap()] = entry(1, u32::try_from(bytes.len()).unwrap(), 0);
        let all = stored(&[index.as_bytes(), &content].concat());
        let dictionary = format!(
            "/Type /ObjStm /N {} /First {} /Filter /FlateDecode",
            self.objects.len(),
            index.len()
        );
        bytes.extend_from_slice(&indirect(holder, &stream(&dictionary, &all)));
        let start = bytes.len();
        entries[usize::try_from(references).unwrap()] = entry(1, u32::try_from(start).unwrap(), 0);
        let table = stored(&entries.concat());
        let information = if self.objects.contains_key(&3) { "/Info 3 0 R " } else { "" };
        let dictionary = format!(
            "/Type /XRef /Size {} /W [1 4 2] /Root 1 0 R {information}{} /Filter /FlateDecode",
            references + 1,
            self.trailer
        );
        bytes.extend_from_slice(&indirect(references, &stream(&dictionary, &table)));
        bytes.extend_from_slice(format!("startxref\n{start}\n%%EOF\n").as_bytes());
        bytes
    }
}

fn entry(kind: u8, second: u32, third: u16) -> [u8; 7] {
    let ([a, b, c, d], [e, f]) = (second.to_be_bytes(), third.to_be_bytes());
    [kind, a, b, c, d, e, f]
}

/// An indirect object.
pub(crate) fn indirect(number: u32, object: &[u8]) -> Vec<u8> {
    [format!("{number} 0 obj\n").as_bytes(), object, b"\nendobj\n"].concat()
}

/// A stream.
pub(crate) fn stream(dictionary: &str, content: &[u8]) -> Vec<u8> {
    let head = format!("<< {dictionary} /Length {} >>\nstream\n", content.len());
    [head.as_bytes(), content, b"\nendstream"].concat()
}

/// A file whose stream of references has this dictionary and content, and which has nothing else but a catalogue.
pub(crate) fn with_references(dictionary: &str, content: &[u8]) -> Vec<u8> {
    let mut bytes =
        b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n2 0 obj\n<< /Type /Pages /Kids [] /Count 0 >>\nendobj\n".to_vec();
    let start = bytes.len();
    bytes.extend_from_slice(&indirect(3, &stream(&format!("/Type /XRef /Root 1 0 R {dictionary}"), content)));
    bytes.extend_from_slice(format!("startxref\n{start}\n%%EOF\n").as_bytes());
    bytes
}

/// Data for FlateDecode, not compressed.
pub(crate) fn stored(data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x78, 0x01];
    let blocks: Vec<&[u8]> = if data.is_empty() {
        vec![data]
    } else {
        data.chunks(65_535).collect()
    };
    for (index, block) in blocks.iter().enumerate() {
        let length = u16::try_from(block.len()).unwrap();
        bytes.push(u8::from(index + 1 == blocks.len()));
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&(!length).to_le_bytes());
        bytes.extend_from_slice(block);
    }
    let (mut a, mut b) = (1_u32, 0_u32);
    for byte in data {
        a = (a + u32::from(*byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    bytes.extend_from_slice(&(b << 16 | a).to_be_bytes());
    bytes
}

/// Writes the bits of a deflate block with the fixed codes (RFC 1951, 3.2.6).
struct Deflate {
    bytes: Vec<u8>,
    bits: u64,
    count: u32,
}

impl Deflate {
    fn new() -> Self {
        let mut deflate = Self {
            bytes: vec![0x78, 0x01],
            bits: 0,
            count: 0,
        };
        // The last block, with fixed codes.
        deflate.bits(0b011, 3);
        deflate
    }

    fn bits(&mut self, value: u64, count: u32) {
        self.bits |= value << self.count;
        self.count += count;
        while self.count >= 8 {
            self.bytes.push(u8::try_from(self.bits & 0xFF).unwrap());
            self.bits >>= 8;
            self.count -= 8;
        }
    }

    /// A Huffman code, whose first bit comes first.
    fn code(&mut self, code: u64, count: u32) {
        self.bits(code.reverse_bits() >> (64 - count), count);
    }

    fn literal(&mut self, byte: u8) {
        match byte {
            0..144 => self.code(0x30 + u64::from(byte), 8),
            144.. => self.code(0x190 + u64::from(byte) - 144, 9),
        }
    }

    /// 258 bytes again, from 1 or from 13 bytes before.
    fn again(&mut self, distance: u8) {
        self.code(0xC5, 8);
        match distance {
            1 => self.code(0, 5),
            13 => {
                self.code(7, 5);
                self.bits(0, 2);
            }
            other => panic!("{other}"),
        }
    }

    fn end(mut self) -> Vec<u8> {
        self.code(0, 7);
        self.bits(0, 7);
        self.bytes
    }
}

/// About so many zeros, as data for FlateDecode: 158 of them in a byte.
pub(crate) fn zeros(count: u64) -> Vec<u8> {
    let mut deflate = Deflate::new();
    deflate.literal(0);
    for _ in 0..count / 258 {
        deflate.again(1);
    }
    deflate.end()
}

/// The same, compressed once more. What is compressed repeats every 13 bytes.
pub(crate) fn zeros_twice(count: u64) -> Vec<u8> {
    let once = zeros(count);
    let (head, body) = once.split_at(64);
    let mut deflate = Deflate::new();
    head.iter().for_each(|byte| deflate.literal(*byte));
    let whole = body.len() / 258 - 1;
    for _ in 0..whole {
        deflate.again(13);
    }
    body.iter().skip(whole * 258).for_each(|byte| deflate.literal(*byte));
    deflate.end()
}

/// A file with this text after its header, which has no table and has to be searched.
fn searched(text: &str) -> Vec<u8> {
    format!("%PDF-1.7\n{text}\n").into_bytes()
}

/// The usual document with this as its title.
fn titled(title: &str) -> Vec<u8> {
    Document::new(1).with_info("Title", title).plain()
}

/// Files that attack a parser, by names.
pub(crate) fn hostile() -> Vec<(&'static str, Vec<u8>)> {
    let deep = |open: &str, close: &str, levels: usize| format!("{}{}", open.repeat(levels), close.repeat(levels));
    let one = || Document::new(1);
    let replaced = |from: &str, to: &str| String::from_utf8_lossy(&one().plain()).replace(from, to).into_bytes();
    let many_kids = |levels: u32| {
        // Each level has ten times the pages of the next one, and all are the same objects.
        let mut document = one().with(2, &format!("<< /Type /Pages /Kids [{}] /Count 1 >>", "10 0 R ".repeat(10)));
        for level in 10..10 + levels {
            document.put(
                level,
                &format!("<< /Type /Pages /Kids [{}] /Count 1 >>", format!("{} 0 R ", level + 1).repeat(10)),
            );
        }
        document.with(10 + levels, "<< /Type /Page >>").plain()
    };
    let chain = |count: u32| {
        let mut document = one().with(2, "<< /Type /Pages /Kids [10 0 R] /Count 1 >>");
        for number in 10..10 + count {
            document.put(number, &format!("<< /Type /Pages /Kids [{} 0 R] /Count 1 >>", number + 1));
        }
        document.plain()
    };
    let references = |count: u32| {
        let mut document = one().with_info("Title", "10 0 R");
        for number in 10..10 + count {
            document.put(number, &format!("{} 0 R", number + 1));
        }
        document.plain()
    };
    let table = String::from_utf8_lossy(&one().plain()).find("xref\n").unwrap();
    let usual = Document::usual();
    let mut files = vec![
        ("nothing", Vec::new()),
        ("a header", b"%PDF-1.7".to_vec()),
        ("HTML", b"<!doctype html><title>404</title>".to_vec()),
        ("zeros", vec![0; 100_000]),
        ("a header far away", [&vec![b' '; 2_000][..], &usual.plain()].concat()),
        ("a header after a few bytes", [&vec![b' '; 500][..], &usual.plain()].concat()),
        ("no start", replaced("startxref", "startxxxx")),
        ("a start in the middle of nowhere", replaced("startxref\n", "startxref\n1")),
        ("a huge start", replaced("startxref\n", "startxref\n99999999999999999999")),
        ("a negative start", replaced("startxref\n", "startxref\n-")),
        ("a table of four billion", replaced("xref\n0 5", "xref\n0 4294967295")),
        ("a table that begins at four billion", replaced("xref\n0 5", "xref\n4294967295 5")),
        ("a size of two billion", replaced("/Size 5", "/Size 2147483647")),
        ("offsets behind the end", replaced("00000000", "99999999")),
        ("a table before itself", one().with_trailer(&format!("/Prev {table} ")).plain()),
        (
            "a table that is its own stream",
            one().with_trailer(&format!("/XRefStm {table} ")).plain(),
        ),
        ("a huge table before", one().with_trailer("/Prev 99999999999999 ").plain()),
        ("a negative table before", one().with_trailer("/Prev -1 ").plain()),
        ("no root", replaced("/Root", "/Rood")),
        ("a root that is the information", replaced("/Root 1 0 R", "/Root 3 0 R")),
        ("a root that is a reference to itself", one().with(1, "1 0 R").plain()),
        (
            "pages that are their own kids",
            one().with(2, "<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 1 >>").plain(),
        ),
        (
            "kids that are their own",
            one().with(2, "<< /Type /Pages /Kids 2 0 R /Count 1 >>").plain(),
        ),
        (
            "a billion pages",
            one().with(2, "<< /Type /Pages /Kids [4 0 R] /Count 1000000000 >>").plain(),
        ),
        (
            "a negative count of pages",
            one().with(2, "<< /Type /Pages /Kids [4 0 R] /Count -5 >>").plain(),
        ),
        (
            "kids of everything",
            one()
                .with(2, "<< /Type /Pages /Kids [4 0 R null 5 (x) /y [4 0 R] << >> 99 0 R] >>")
                .plain(),
        ),
        ("ten billion pages of few objects", many_kids(10)),
        ("a million pages of few objects", many_kids(6)),
        ("a chain of 20,000 kids", chain(20_000)),
        ("a chain of 20,000 references", references(20_000)),
        (
            "a reference to itself",
            one().with_info("Title", "10 0 R").with(10, "10 0 R").plain(),
        ),
        (
            "a length that is its own",
            one()
                .with_info("Title", "10 0 R")
                .with(10, "<< /Length 10 0 R >>\nstream\nx\nendstream")
                .plain(),
        ),
        (
            "a huge length",
            one()
                .with_info("Title", "10 0 R")
                .with(10, "<< /Length 99999999999 >>\nstream\nx\nendstream")
                .plain(),
        ),
        (
            "a negative length",
            one()
                .with_info("Title", "10 0 R")
                .with(10, "<< /Length -9 >>\nstream\nx\nendstream")
                .plain(),
        ),
        ("arrays in arrays", titled(&deep("[", "]", 100_000))),
        ("dictionaries in dictionaries", titled(&deep("<</A", ">>", 100_000))),
        ("brackets in brackets", titled(&deep("(", ")", 100_000))),
        ("arrays that never end", searched(&"[".repeat(1_000_000))),
        ("dictionaries that never end", searched(&"<<".repeat(1_000_000))),
        ("names and dictionaries that never end", searched(&"<</A".repeat(500_000))),
        ("texts that never end", searched(&"(".repeat(1_000_000))),
        ("objects that never end", searched(&"1 0 obj\n".repeat(100_000))),
        ("objects with arrays that never end", searched(&"1 0 obj [".repeat(50_000))),
        (
            "streams that never end",
            searched(&"1 0 obj << /Length 5 >> stream\n".repeat(20_000)),
        ),
        ("digits and blanks", searched(&"1 ".repeat(1_000_000))),
        ("comments", searched(&"%x\n".repeat(500_000))),
        ("blanks", searched(&" ".repeat(5_000_000))),
        ("trailers without end", searched(&"trailer << /Root 1 0 R >> ".repeat(50_000))),
        (
            "a title of ten million characters",
            titled(&format!("({})", "x".repeat(10_000_000))),
        ),
        ("a number of a million digits", titled(&"9".repeat(1_000_000))),
        ("a name of a million characters", titled(&format!("/{}", "n".repeat(1_000_000)))),
        (
            "numbers without sense",
            titled("[--5 +-3 1e999 .... 0x7 99999999999999999999999999 -0.0.0]"),
        ),
        (
            "dates without sense",
            one()
                .with_info("CreationDate", "(D:99999999999999+99'99')")
                .with_info("ModDate", "(D:-1)")
                .plain(),
        ),
        (
            "references of a gigabyte",
            with_references("/W [1 4 2] /Size 153391689 /Filter /FlateDecode", &zeros(1 << 30)),
        ),
        (
            "references of a gigabyte, compressed twice",
            with_references(
                "/W [1 4 2] /Size 153391689 /Filter [/FlateDecode /FlateDecode]",
                &zeros_twice(1 << 30),
            ),
        ),
        (
            "a hundred million references",
            with_references("/W [1 0 0] /Size 100000000 /Filter /FlateDecode", &zeros(100_000_000)),
        ),
        ("references without a width", with_references("/W [0 0 0] /Size 4294967295", b"")),
        (
            "references of a great width",
            with_references("/W [255 255 255] /Size 1000", &[1; 5_000]),
        ),
        ("references of a negative width", with_references("/W [-1 4 2] /Size 3", &[1; 50])),
        (
            "references at four billion",
            with_references("/W [1 4 2] /Size 3 /Index [4294967290 4294967290]", &[1; 50]),
        ),
        (
            "many parts of references",
            with_references(&format!("/W [0 0 0] /Size 3 /Index [{}]", "0 4294967295 ".repeat(1_000)), b""),
        ),
        (
            "a predictor with two billion columns",
            with_references(
                "/W [1 4 2] /Size 3 /Filter /FlateDecode /DecodeParms << /Predictor 12 /Columns 2147483647 /Colors 2147483647 /BitsPerComponent 16 >>",
                &stored(&[2; 64]),
            ),
        ),
        (
            // Four hundred bytes that ask for 45 GB.
            "a predictor with rows of 45 GB",
            with_references(
                "/W [1 4 2] /Size 3 /Filter /FlateDecode /DecodeParms << /Predictor 12 /Columns 2147483647 /Colors 21 >>",
                &stored(&[2; 64]),
            ),
        ),
        (
            "a predictor without columns",
            with_references(
                "/W [1 4 2] /Size 3 /Filter /FlateDecode /DecodeParms << /Predictor 15 /Columns 0 >>",
                &stored(&[2; 64]),
            ),
        ),
        (
            "a thousand filters",
            with_references(
                &format!("/W [1 4 2] /Size 3 /Filter [{}]", "/FlateDecode ".repeat(1_000)),
                &zeros(1 << 20),
            ),
        ),
        (
            "LZW without sense",
            with_references("/W [1 4 2] /Size 3 /Filter /LZWDecode", &[0xA5; 100_000]),
        ),
        (
            "ASCII85 without sense",
            with_references("/W [1 4 2] /Size 3 /Filter /ASCII85Decode", &[b'z'; 100_000]),
        ),
        (
            "run lengths",
            with_references("/W [1 4 2] /Size 3 /Filter [/RunLengthDecode /RunLengthDecode]", &[129; 100_000]),
        ),
    ];
    for (name, dictionary) in [
        ("encryption that is nothing", "/Encrypt << >> "),
        ("encryption that is itself", "/Encrypt 9 0 R "),
        (
            "encryption of no kind",
            "/Encrypt << /Filter /Standard /V 99 /R 99 /Length 40 /O (o) /U (u) /P -4 >> /ID [(a) (b)] ",
        ),
        (
            "encryption with keys without sense",
            "/Encrypt << /Filter /Standard /V 2 /R 3 /Length 2147483647 /O (o) /U (u) /P 4294967295 >> /ID [(a) (b)] ",
        ),
        (
            "encryption without filters",
            "/Encrypt << /Filter /Standard /V 5 /R 6 /Length 256 /O () /U () /OE () /UE () /Perms () /P -4 >> /ID [(a) (b)] ",
        ),
    ] {
        files.push((name, one().with_trailer(dictionary).plain()));
    }
    for (name, dictionary) in [
        ("a stream of a billion objects", "/Type /ObjStm /N 1000000000 /First 10"),
        ("a stream whose objects begin behind it", "/Type /ObjStm /N 1 /First 4294967295"),
        ("a stream of a negative number of objects", "/Type /ObjStm /N -1 /First -1"),
        ("a stream that extends itself", "/Type /ObjStm /N 1 /First 5 /Extends 5 0 R"),
    ] {
        let holder = String::from_utf8(stream(dictionary, b"1 0 << /Type /Catalog /Pages 1 0 R >>")).unwrap();
        files.push((name, searched(&format!("5 0 obj {holder} endobj trailer << /Root 1 0 R >>"))));
    }
    files
}
