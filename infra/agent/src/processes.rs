//! The processes of this machine, as `/proc` lists them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub id: i32,
    /// Its program's name, of which the kernel keeps 15 bytes.
    pub name: Vec<u8>,
    /// Whether it has ended and waits for its parent to notice.
    pub is_zombie: bool,
    /// Its parent.
    pub parent: i32,
    /// Its process group.
    pub group: i32,
}

impl Process {
    /// Reads `/proc/ID/stat` (<https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>). The name may hold spaces and brackets.
    #[must_use]
    pub fn parse(stat: &[u8]) -> Option<Self> {
        let open = stat.iter().position(|byte| *byte == b'(')?;
        let close = stat.iter().rposition(|byte| *byte == b')')?;
        let number = |text: &str| text.parse::<i32>().ok();
        let id = number(std::str::from_utf8(stat.get(..open)?).ok()?.trim())?;
        let mut rest = std::str::from_utf8(stat.get(close + 1..)?).ok()?.split_ascii_whitespace();
        Some(Self {
            id,
            name: stat.get(open + 1..close)?.to_vec(),
            is_zombie: rest.next()? == "Z",
            parent: number(rest.next()?)?,
            group: number(rest.next()?)?,
        })
    }
}

/// All processes. Empty where `/proc` is not there.
#[must_use]
pub fn all() -> Vec<Process> {
    let folders = fs::read_dir("/proc").into_iter().flatten().flatten();
    let is_process = |name: &std::ffi::OsStr| name.as_encoded_bytes().iter().all(u8::is_ascii_digit);
    let processes = folders.filter(|folder| is_process(&folder.file_name()));
    // One that has ended meanwhile cannot be read.
    processes
        .filter_map(|folder| Process::parse(&fs::read(folder.path().join("stat")).ok()?))
        .collect()
}

/// The children of a process, their children, and so on, without those that have ended.
#[must_use]
pub fn descendants(of: i32, all: &[Process]) -> Vec<i32> {
    let mut children: BTreeMap<i32, Vec<&Process>> = BTreeMap::new();
    for process in all {
        children.entry(process.parent).or_default().push(process);
    }
    let (mut todo, mut found) = (vec![of], BTreeSet::new());
    while let Some(parent) = todo.pop() {
        for child in children.get(&parent).into_iter().flatten() {
            if child.id != of && found.insert((child.id, child.is_zombie)) {
                todo.push(child.id);
            }
        }
    }
    found.into_iter().filter(|(_, is_zombie)| !is_zombie).map(|(id, _)| id).collect()
}

/// The processes of git in a group, without the helper that speaks HTTP: that one is never idle.
#[must_use]
pub fn of_git(group: i32, all: &[Process]) -> Vec<i32> {
    let is_git = |process: &&Process| process.group == group && process.name == b"git";
    all.iter().filter(is_git).map(|process| process.id).collect()
}

/// What these processes have read, written and computed so far, in some form that changes when they do more.
#[must_use]
pub fn what_they_did(processes: &[i32]) -> Vec<u8> {
    let files = processes
        .iter()
        .flat_map(|id| [format!("/proc/{id}/io"), format!("/proc/{id}/stat")]);
    files.filter_map(|file| fs::read(file).ok()).flatten().collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn process(id: i32, parent: i32, group: i32) -> Process {
        Process::parse(format!("{id} (git) S {parent} {group} 1 0").as_bytes()).unwrap()
    }

    #[test]
    fn a_name_may_hold_anything() {
        let process = Process::parse(b"42 (a) (b c) Z 7 40 40 0 -1").unwrap();
        assert_eq!((process.id, process.parent, process.group, process.is_zombie), (42, 7, 40, true));
        assert_eq!(process.name, b"a) (b c");
        for wrong in [&b""[..], b"42", b"42 (x", b"x (y) S 1 1", b")42("] {
            assert_eq!(Process::parse(wrong), None);
        }
    }

    #[test]
    fn descendants_are_found_in_any_group() {
        let mut all = vec![
            process(1, 0, 1),
            process(5, 1, 5),
            process(6, 5, 5),
            process(7, 6, 7),
            process(8, 1, 8),
            process(9, 7, 7),
        ];
        assert_eq!(descendants(5, &all), [6, 7, 9]);
        all[2].is_zombie = true;
        assert_eq!(descendants(5, &all), [7, 9]);
        assert_eq!(of_git(7, &all), [7, 9]);
    }

    #[test]
    fn this_process_is_there() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(all().iter().any(|process| process.id == own && !process.is_zombie));
        assert!(!what_they_did(&[own]).is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(prop::sample::select(b"0123 ()SZ-\xff".to_vec()), 0..40)) {
            let _ = Process::parse(&bytes);
        }

        #[test]
        fn any_table_of_processes_has_an_end(parents in prop::collection::vec(0..20, 20)) {
            let all: Vec<Process> = (0..).zip(&parents).map(|(id, parent)| process(id, *parent, id)).collect();
            let found = descendants(3, &all);
            prop_assert!(!found.contains(&3));
        }
    }
}
