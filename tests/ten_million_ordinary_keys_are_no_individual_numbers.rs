//! Issue 2 at full size: a file of ten million ordinary rows whose history keys have twelve digits is taken, though about one in ten of
//! them has the check digit of an individual number by chance; and one such number among them where it means something refuses it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::Path;

use common::Place;
use shikaku::domain::digits::individual_number_check_is_right;

const ROWS: u64 = 10_000_000;

/// The published example: right check digit, nobody's.
const RIGHT: &str = "123456789018";

/// The required columns and no other.
const HEADER: &str = "op,authority_code,certificate_type_id,certificate_name,insurer_number,number,birth_date,history_key,\
                      always_reimbursement,not_disclosed,valid_from,valid_to";

fn row(out: &mut impl Write, name: &str, number: u64, history_key: &str) {
    let line = format!("upsert,132012,A1,{name},06132013,{number},19800101,{history_key},0,0,20260401,");
    writeln!(out, "{line}").unwrap();
}

/// Twelve digits as a counter that was encrypted would give them: every value as likely as any other.
struct Keys(u64);

impl Iterator for Keys {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        // Splitmix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Some(format!("{:012}", (mixed ^ (mixed >> 31)) % 1_000_000_000_000))
    }
}

/// Writes the file; gives how many of its keys pass the check.
fn write(path: &Path) -> u64 {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
    writeln!(out, "{HEADER}").unwrap();
    let mut passing = 0;
    for (number, key) in (1..=ROWS).zip(Keys(7)) {
        passing += u64::from(individual_number_check_is_right(key.as_bytes().try_into().unwrap()));
        row(&mut out, "医療証", number, &key);
    }
    out.flush().unwrap();
    passing
}

#[test]
#[ignore = "writes a gigabyte and reads it three times; `cargo test --release -- --ignored` runs it"]
fn a_file_of_them_is_taken_and_one_number_among_them_refuses_it() {
    let place = Place::new();
    let path = place.path("rows.csv");
    let passing = write(&path);
    assert!((ROWS / 12..ROWS / 9).contains(&passing), "{passing} pass, which is not what chance gives");
    let file = path.to_str().unwrap();
    let said = place.run("import --dry-run", &[file]).ends(0);
    assert!(said.out.contains(&format!("{ROWS} rows examined, 0 would be rejected")), "{}", said.out);

    let mut more = OpenOptions::new().append(true).open(&path).unwrap();
    row(&mut more, RIGHT, ROWS + 1, "1");
    drop(more);
    let said = place.run("import --dry-run", &[file]).ends(1);
    assert!(said.err.contains(&format!("line {}, column certificate_name", ROWS + 2)), "{}", said.err);
    assert!(!said.mentions(RIGHT), "{said:?}");
}
