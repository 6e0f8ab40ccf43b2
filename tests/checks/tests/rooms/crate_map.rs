//! A crate's modules, and the arrows between its files and between its rooms.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use crate::source::Source;

/// How many imports a name may pass through.
const MOST_IMPORTS: usize = 8;

/// The arrows between things, with how often the first of a pair names the second.
pub(crate) type Arrows = BTreeMap<(String, String), usize>;

/// The files of a crate's `src`, without its tests.
pub(crate) struct CrateMap {
    pub(crate) files: BTreeMap<String, File>,
    /// The file of each module.
    modules: BTreeMap<Vec<String>, String>,
    /// What the imports of each module name, by the name that they give it.
    imports: BTreeMap<(Vec<String>, String), Vec<String>>,
    /// The number of lines that are tests, in files of their own and in others.
    pub(crate) test_lines: usize,
}

/// A file of a crate.
pub(crate) struct File {
    module: Vec<String>,
    source: Source,
    pub(crate) lines: usize,
}

impl CrateMap {
    /// Reads the crate whose `src` this is.
    pub(crate) fn read(src: &Path) -> Self {
        let mut map = Self {
            files: BTreeMap::new(),
            modules: BTreeMap::new(),
            imports: BTreeMap::new(),
            test_lines: 0,
        };
        map.add(src, "lib.rs", Vec::new());
        let all = rust_files(src);
        let is_test = |path: &&PathBuf| !map.files.contains_key(&name_of(path, src));
        let of_tests: usize = all.iter().filter(is_test).map(|path| lines(path)).sum();
        let within: usize = map.files.values().map(|file| file.source.test_lines).sum();
        map.test_lines = of_tests + within;
        map
    }

    fn add(&mut self, src: &Path, name: &str, module: Vec<String>) {
        let path = src.join(name);
        let source = Source::read(&std::fs::read_to_string(&path).unwrap());
        self.modules.insert(module.clone(), name.to_owned());
        for child in &source.modules {
            let mut of_child = module.clone();
            of_child.push(child.clone());
            let joined = of_child.join("/");
            let candidates = [format!("{joined}.rs"), format!("{joined}/mod.rs")];
            let file = candidates.iter().find(|candidate| src.join(candidate).exists());
            let file = file.unwrap_or_else(|| panic!("{name} declares {child}, which has no file"));
            self.add(src, file, of_child);
        }
        let mut imports = Vec::new();
        for named in &source.paths {
            if let Some(import) = &named.imported_as {
                let within = [module.clone(), named.within.clone()].concat();
                imports.push(((within.clone(), import.clone()), absolute(&within, &named.segments)));
            }
        }
        self.imports.extend(imports);
        let lines = lines(&path) - source.test_lines;
        self.files.insert(name.to_owned(), File { module, source, lines });
    }

    /// The arrows between files.
    pub(crate) fn arrows(&self) -> Arrows {
        let mut arrows = Arrows::new();
        for (name, file) in &self.files {
            for named in &file.source.paths {
                let within = [file.module.clone(), named.within.clone()].concat();
                let target = self.file_of(absolute(&within, &named.segments));
                if target != name {
                    *arrows.entry((name.clone(), target.to_owned())).or_default() += 1;
                }
            }
        }
        arrows
    }

    /// The arrows between rooms.
    pub(crate) fn arrows_between_rooms(&self) -> Arrows {
        let mut arrows = Arrows::new();
        for ((from, to), count) in self.arrows() {
            let (from, to) = (self.room(&from), self.room(&to));
            if from != to {
                *arrows.entry((from.to_owned(), to.to_owned())).or_default() += count;
            }
        }
        arrows
    }

    /// The room of a file.
    pub(crate) fn room(&self, file: &str) -> &str {
        self.files[file].module.first().map_or("lib", String::as_str)
    }

    /// The file that defines what a path names: imports are followed to what they import.
    fn file_of(&self, mut path: Vec<String>) -> &str {
        for _ in 0..MOST_IMPORTS {
            let module = (0..=path.len()).rev().map(|length| &path[..length]);
            let length = module
                .filter(|module| self.modules.contains_key(*module))
                .map(<[_]>::len)
                .next()
                .unwrap_or(0);
            let (module, rest) = path.split_at(length);
            let import = rest.first().and_then(|name| self.imports.get(&(module.to_vec(), name.clone())));
            match import {
                Some(import) if *import != path => path = [import, &rest[1..]].concat(),
                _ => return &self.modules[module],
            }
        }
        &self.modules[&Vec::new()]
    }
}

/// The segments of a path from the crate's root on.
fn absolute(within: &[String], segments: &[String]) -> Vec<String> {
    let mut path = within.to_vec();
    for (position, segment) in segments.iter().enumerate() {
        match segment.as_str() {
            "crate" => path.clear(),
            "super" => drop(path.pop()),
            "self" => {}
            "*" if position + 1 == segments.len() => {}
            _ => path.push(segment.clone()),
        }
    }
    path
}

/// The groups of things that lead to each other, largest first; each is sorted.
pub(crate) fn circles(arrows: &Arrows) -> Vec<Vec<String>> {
    let things: BTreeSet<&String> = arrows.keys().flat_map(|(from, to)| [from, to]).collect();
    let reached: BTreeMap<&String, BTreeSet<&String>> = things.iter().map(|thing| (*thing, reached_from(thing, arrows))).collect();
    let mut circles: BTreeSet<Vec<String>> = BTreeSet::new();
    for (thing, others) in &reached {
        let circle = others.iter().filter(|other| reached[**other].contains(*thing));
        let circle: Vec<String> = circle.map(|other| (*other).clone()).collect();
        if !circle.is_empty() {
            circles.insert(circle);
        }
    }
    let mut circles: Vec<_> = circles.into_iter().collect();
    circles.sort_by_key(|circle| std::cmp::Reverse(circle.len()));
    circles
}

/// The arrows that are part of a circle.
pub(crate) fn in_circles(arrows: &Arrows) -> BTreeSet<(String, String)> {
    let circles = circles(arrows);
    let is_within = |(from, to): &&(String, String)| circles.iter().any(|circle| circle.contains(from) && circle.contains(to));
    arrows.keys().filter(is_within).cloned().collect()
}

fn reached_from<'a>(thing: &'a String, arrows: &'a Arrows) -> BTreeSet<&'a String> {
    let (mut todo, mut reached) = (vec![thing], BTreeSet::new());
    while let Some(next) = todo.pop() {
        for (_, to) in arrows.keys().filter(|(from, _)| from == next) {
            if reached.insert(to) {
                todo.push(to);
            }
        }
    }
    reached
}

/// All files of Rust below a folder.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn name_of(path: &Path, src: &Path) -> String {
    path.strip_prefix(src).unwrap().to_str().unwrap().to_owned()
}

pub(crate) fn lines(path: &Path) -> usize {
    std::fs::read_to_string(path).unwrap().lines().count()
}

impl fmt::Display for CrateMap {
    /// The picture: sizes, arrows between rooms, circles.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: usize = self.files.values().map(|file| file.lines).sum();
        writeln!(
            f,
            "  {} files with {lines} lines, and {} lines of tests",
            self.files.len(),
            self.test_lines
        )?;
        let mut by_size: Vec<_> = self.files.iter().collect();
        by_size.sort_by_key(|(_, file)| std::cmp::Reverse(file.lines));
        writeln!(f, "  the largest files:")?;
        for (name, file) in by_size.iter().take(10) {
            writeln!(f, "    {:>5}  {name}", file.lines)?;
        }
        let rooms: BTreeSet<&str> = self.files.keys().map(|file| self.room(file)).collect();
        let arrows = self.arrows_between_rooms();
        writeln!(f, "  {} rooms, {} arrows between them:", rooms.len(), arrows.len())?;
        for room in rooms {
            let to: Vec<String> = arrows
                .iter()
                .filter(|((from, _), _)| from == room)
                .map(|((_, to), count)| format!("{to} {count}"))
                .collect();
            writeln!(
                f,
                "    {room} → {}",
                if to.is_empty() { "nothing".to_owned() } else { to.join(", ") }
            )?;
        }
        describe_circles(f, "rooms", &arrows)?;
        describe_circles(f, "files", &self.arrows())
    }
}

fn describe_circles(f: &mut fmt::Formatter<'_>, of: &str, arrows: &Arrows) -> fmt::Result {
    let circles = circles(arrows);
    let within = in_circles(arrows).len();
    let size: usize = circles.iter().map(Vec::len).sum();
    writeln!(f, "  {} circles between {of}, with {size} {of} and {within} arrows", circles.len())?;
    for circle in circles {
        writeln!(f, "    {}", circle.join(", "))?;
    }
    Ok(())
}
