//! Rust source as tokens, and what it names: its modules and the paths that begin inside its crate.
//!
//! This is no parser of Rust. It knows comments, texts, `mod`, `use`, and paths; what a macro makes of its tokens is beyond it.

/// A token and its line, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// What a file names, without its tests.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Source {
    /// The modules that it declares in files of their own.
    pub(crate) modules: Vec<String>,
    /// The paths that it names.
    pub(crate) paths: Vec<Named>,
    /// The number of its lines that are tests.
    pub(crate) test_lines: usize,
}

/// A path that begins inside the crate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    /// The modules of the file in which it stands, outermost first.
    pub(crate) within: Vec<String>,
    /// Its segments.
    pub(crate) segments: Vec<String>,
    /// The name that a `use` gives it.
    pub(crate) imported_as: Option<String>,
}

impl Source {
    pub(crate) fn read(text: &str) -> Self {
        let mut source = Self::default();
        let tokens = with_paths_of_serde(source.without_tests(tokens(text)));
        let is_child = |name: &str, source: &Self| source.modules.iter().any(|module| module == name);
        // The modules first: a path may begin with one that is declared below it.
        for declaration in tokens.windows(3) {
            if declaration[0].text == "mod" && declaration[2].text == ";" {
                source.modules.push(declaration[1].text.clone());
            }
        }
        let mut within: Vec<(String, usize)> = Vec::new();
        let (mut depth, mut index, mut is_use) = (0, 0, false);
        while let Some(token) = tokens.get(index) {
            let next = tokens.get(index + 1).map_or("", |token| &token.text);
            let before = |back: usize| index.checked_sub(back).map_or("", |place| tokens[place].text.as_str());
            // The rest of a path, or where an item is visible: `pub(in crate::config)`.
            let after_path = ["::", "."].contains(&before(1)) || (before(2), before(1)) == ("(", "in");
            match token.text.as_str() {
                "{" => depth += 1,
                "}" => {
                    depth -= 1;
                    within.pop_if(|(_, opened)| *opened == depth);
                }
                "mod" if tokens.get(index + 2).is_some_and(|token| token.text == "{") => within.push((next.to_owned(), depth)),
                "use" => is_use = true,
                ";" => is_use = false,
                text if !after_path && next == "::" && (["crate", "self", "super"].contains(&text) || is_child(text, &source)) => {
                    let within: Vec<String> = within.iter().map(|(name, _)| name.clone()).collect();
                    let mut leaves = Vec::new();
                    index = path(&tokens, index, &[], &mut leaves);
                    source.paths.extend(leaves.into_iter().map(|(segments, name)| Named {
                        within: within.clone(),
                        segments,
                        imported_as: name.filter(|_| is_use),
                    }));
                    continue;
                }
                _ => {}
            }
            index += 1;
        }
        source
    }

    /// The tokens without items that are compiled for tests only: `#[cfg(test)]`, and the feature `testing`.
    fn without_tests(&mut self, tokens: Vec<Token>) -> Vec<Token> {
        let attributes = [
            vec!["#", "[", "cfg", "(", "test", ")", "]"],
            vec!["#", "[", "cfg", "(", "feature", "=", "\"testing\"", ")", "]"],
        ];
        let starts_at = |index: usize, texts: &[&str]| {
            let found = tokens[index..].iter().map(|token| token.text.as_str());
            found.take(texts.len()).eq(texts.iter().copied())
        };
        let (mut kept, mut index) = (Vec::new(), 0);
        while index < tokens.len() {
            if attributes.iter().any(|attribute| starts_at(index, attribute)) {
                let end = end_of_item(&tokens, index);
                self.test_lines += tokens[end - 1].line - tokens[index].line + 1;
                index = end;
            } else {
                kept.push(tokens[index].clone());
                index += 1;
            }
        }
        kept
    }
}

/// The tokens with the paths that attributes of serde hold as texts.
fn with_paths_of_serde(tokens: Vec<Token>) -> Vec<Token> {
    const HOLDERS: [&str; 5] = ["with", "serialize_with", "deserialize_with", "skip_serializing_if", "default"];
    let mut all: Vec<Token> = Vec::new();
    for token in tokens {
        let is_held = matches!(&all[..], [.., holder, sign] if HOLDERS.contains(&holder.text.as_str()) && sign.text == "=");
        match token.text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
            Some(path) if is_held => all.extend(self::tokens(path).into_iter().map(|part| Token { line: token.line, ..part })),
            _ => all.push(token),
        }
    }
    all
}

/// Where the item ends that begins here with its attributes.
fn end_of_item(tokens: &[Token], mut index: usize) -> usize {
    while tokens.get(index).is_some_and(|token| token.text == "#") {
        index = end_of_group(tokens, index + 1);
    }
    let is_use = tokens[index..]
        .iter()
        .take_while(|token| token.text != ";")
        .any(|token| token.text == "use");
    while let Some(token) = tokens.get(index) {
        match token.text.as_str() {
            ";" => return index + 1,
            "{" if !is_use => return end_of_group(tokens, index),
            "{" | "(" | "[" => index = end_of_group(tokens, index),
            _ => index += 1,
        }
    }
    index
}

/// Where the group ends that opens here.
fn end_of_group(tokens: &[Token], mut index: usize) -> usize {
    let mut depth = 0;
    while let Some(token) = tokens.get(index) {
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth -= 1,
            _ => {}
        }
        index += 1;
        if depth == 0 {
            break;
        }
    }
    index
}

/// Reads a path, and every path of its groups: the segments of each, and its last name or alias. Returns where it ends.
fn path(tokens: &[Token], mut index: usize, start: &[String], leaves: &mut Vec<(Vec<String>, Option<String>)>) -> usize {
    let text = |index: usize| tokens.get(index).map_or("", |token| token.text.as_str());
    let mut segments = start.to_vec();
    loop {
        match text(index) {
            "{" => {
                index += 1;
                while !["}", ""].contains(&text(index)) {
                    index = match text(index) {
                        "," => index + 1,
                        _ => path(tokens, index, &segments, leaves).max(index + 1),
                    };
                }
                return index + 1;
            }
            name if is_name(name) || name == "*" => {
                segments.push(name.to_owned());
                index += 1;
            }
            _ => break,
        }
        if text(index) != "::" {
            break;
        }
        index += 1;
    }
    let mut name = segments.last().cloned();
    if text(index) == "as" {
        name = Some(text(index + 1).to_owned());
        index += 2;
    }
    leaves.push((segments, name));
    index
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// The names, texts and signs of a file, without comments. A character or a lifetime is none.
fn tokens(text: &str) -> Vec<Token> {
    let characters: Vec<char> = text.chars().collect();
    let at = |index: usize| characters.get(index).copied().unwrap_or('\0');
    let (mut tokens, mut index, mut line) = (Vec::new(), 0, 1);
    while index < characters.len() {
        let begin = index;
        let is_part_of_name = |character: char| character.is_alphanumeric() || character == '_';
        match at(index) {
            '/' if at(index + 1) == '/' => index = find(&characters, index, "\n"),
            '/' if at(index + 1) == '*' => index = find(&characters, index + 2, "*/") + 2,
            'r' | 'b' | 'c' if raw_text(&characters, index).is_some() => index = raw_text(&characters, index).unwrap_or(index),
            '"' => {
                index += 1;
                while index < characters.len() && at(index) != '"' {
                    index += if at(index) == '\\' { 2 } else { 1 };
                }
                index += 1;
                let text = characters[begin..index.min(characters.len())].iter().collect();
                tokens.push(Token { text, line });
            }
            '\'' if at(index + 1) == '\\' => index = find(&characters, index + 3, "'") + 1,
            '\'' if at(index + 2) == '\'' => index += 3,
            '\'' => index += 1,
            first if is_part_of_name(first) => {
                while is_part_of_name(at(index)) {
                    index += 1;
                }
                let text = characters[begin..index].iter().collect();
                tokens.push(Token { text, line });
            }
            ':' if at(index + 1) == ':' => {
                index += 2;
                tokens.push(Token {
                    text: "::".to_owned(),
                    line,
                });
            }
            first => {
                index += 1;
                if !first.is_whitespace() {
                    tokens.push(Token {
                        text: first.to_string(),
                        line,
                    });
                }
            }
        }
        let passed = &characters[begin..index.min(characters.len())];
        line += passed.iter().filter(|character| **character == '\n').count();
    }
    tokens
}

/// Where the raw text ends that begins here, if one does.
fn raw_text(characters: &[char], mut index: usize) -> Option<usize> {
    let is_joined = index > 0 && (characters[index - 1].is_alphanumeric() || characters[index - 1] == '_');
    while matches!(characters.get(index), Some('b' | 'c')) {
        index += 1;
    }
    if is_joined || characters.get(index) != Some(&'r') {
        return None;
    }
    let hashes = characters[index + 1..].iter().take_while(|character| **character == '#').count();
    let opening = index + 1 + hashes;
    let closing = format!("\"{}", "#".repeat(hashes));
    (characters.get(opening) == Some(&'"')).then(|| find(characters, opening + 1, &closing) + closing.len())
}

/// Where a text begins next, or the end of the file.
fn find(characters: &[char], from: usize, text: &str) -> usize {
    let wanted: Vec<char> = text.chars().collect();
    let rest = characters.get(from..).unwrap_or_default();
    let found = rest.windows(wanted.len()).position(|window| window == wanted);
    found.map_or(characters.len(), |position| from + position)
}
