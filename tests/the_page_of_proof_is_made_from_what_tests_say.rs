//! `scripts/proof.sh`: the same lines in any order make the same page, counts are added up, and a run that failed proves nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

const LINES: [&str; 5] = [
    "proof: rows stay | kill -9 | one | 5",
    "test two ... proof: rows stay | kill -9 | one | 12",
    "proof: answers are right | none | three | 2000 entries",
    "proof: answers are right | none | three | 1 entries",
    "proof: answers are right | a full disk | `four` | durable up to line 7",
];

fn made_of(directory: &TempDir, output: &str) -> (PathBuf, Output) {
    let (input, page) = (directory.path().join("output"), directory.path().join("proof.md"));
    std::fs::write(&input, output).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/proof.sh");
    let ran = Command::new(script).arg(&input).env("PROOF_PAGE", &page).output().unwrap();
    (page, ran)
}

#[test]
fn lines_in_any_order_make_one_page_with_counts_added_up() {
    let directory = tempfile::tempdir().unwrap();
    let mut pages = Vec::new();
    for turn in 0..LINES.len() {
        let mut lines = LINES;
        lines.rotate_left(turn);
        let (page, ran) = made_of(&directory, &lines.join("\n"));
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        pages.push(std::fs::read_to_string(page).unwrap());
    }
    assert!(pages.iter().all(|page| *page == pages[0]));
    let table: Vec<&str> = pages[0].lines().filter(|line| line.starts_with("| ") || line.starts_with("## ")).collect();
    assert_eq!(
        table,
        [
            "## Answers are right",
            "| fault | test | count |",
            "| a full disk | `four` | durable up to line 7 |",
            "| none | `three` | 2001 entries |",
            "## Rows stay",
            "| fault | test | count |",
            "| kill -9 | `one` | 17 |",
        ]
    );
}

#[test]
fn a_run_that_failed_or_said_nothing_writes_no_page() {
    for output in [
        format!("{}\ntest five ... FAILED\n", LINES.join("\n")),
        format!("{}\ntest result: FAILED. 1 passed; 1 failed\n", LINES.join("\n")),
        "test result: ok. 3 passed\n".to_owned(),
        "proof: a line | with a part missing | 3\n".to_owned(),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let (page, ran) = made_of(&directory, &output);
        assert!(!ran.status.success() && !page.exists(), "{output}");
    }
}
