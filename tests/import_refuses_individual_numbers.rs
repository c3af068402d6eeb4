//! Individual numbers (個人番号, My Number) never get in, and are never repeated.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::path::Path;

use common::{Place, Row, Said, csv};

/// The published example: right check digit, nobody's.
const RIGHT: &str = "123456789018";

fn full_width(text: &str) -> String {
    text.chars().map(|c| char::from_u32(u32::from(c) - u32::from('0') + 0xff10).unwrap()).collect()
}

/// Twelve digits with the right check digit.
fn individual_number(body: u64) -> String {
    let digits = format!("{body:011}");
    let weigh = |(place, digit): (usize, char)| {
        let n = place + 1;
        digit.to_digit(10).unwrap() * u32::try_from(if n <= 6 { n + 1 } else { n - 5 }).unwrap()
    };
    let remainder = digits.chars().rev().enumerate().map(weigh).sum::<u32>() % 11;
    format!("{digits}{}", if remainder <= 1 { 0 } else { 11 - remainder })
}

/// Whether any file below a directory, except one, holds a text.
fn is_anywhere(directory: &Path, except: &Path, text: &[u8]) -> bool {
    std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).any(|path| {
        if path.is_dir() {
            return is_anywhere(&path, except, text);
        }
        let holds = |path: &Path| std::fs::read(path).unwrap().windows(text.len()).any(|window| window == text);
        path.is_file() && path != except && holds(&path)
    })
}

/// A directory into which nothing of what is tried may get.
struct Guarded {
    place: Place,
    before: String,
}

impl Guarded {
    fn new() -> Guarded {
        let place = Place::new();
        place.import("before.csv", [&Row::of(900)], &[]).ends(0);
        let before = place.state_checksum();
        Guarded { place, before }
    }

    /// Imports a file that must be refused whole, and looks for the value everywhere.
    #[track_caller]
    fn refuses(&self, more: &[&str], content: &str, secret: &str, named: &str) -> Said {
        let file = self.place.write("secret.csv", content);
        let mut arguments = more.to_vec();
        arguments.push(file.to_str().unwrap());
        let said = self.place.run("import", &arguments).ends(1);
        assert!(said.err.contains(named), "{}", said.err);
        assert!(!said.mentions(secret), "{said:?}");
        assert!(!is_anywhere(self.place.0.path(), &file, secret.as_bytes()), "it was written somewhere");
        assert!(!self.place.path("secret.csv.rejects.csv").exists());
        said
    }

    #[track_caller]
    fn stayed_as_it_was(self) {
        assert_eq!(self.place.state_checksum(), self.before);
    }
}

#[test]
fn a_column_by_that_name_refuses_the_file() {
    let guarded = Guarded::new();
    for name in ["myNumber", "my_number", "個人番号", "マイナンバー", "individual_number", "INDIVIDUAL_NUMBER"] {
        let content = csv([&Row::of(1)]).replacen("card_link", name, 1).replace("card-1", RIGHT);
        guarded.refuses(&[], &content, RIGHT, "個人番号");
        let added: Vec<String> = csv([&Row::of(1)]).lines().map(|line| format!("{line},{RIGHT}\n")).collect();
        let added = added.concat().replacen(RIGHT, name, 1);
        guarded.refuses(&["--accept"], &added, RIGHT, "個人番号");
    }
    guarded.stayed_as_it_was();
}

#[test]
fn one_value_among_texts_refuses_the_file_however_it_is_written() {
    let guarded = Guarded::new();
    for column in ["certificate_name", "segment", "income_segment", "additional_conditions"] {
        for (text, secret) in [(RIGHT.to_owned(), RIGHT.to_owned()), (format!("番号{}号", full_width(RIGHT)), full_width(RIGHT))]
        {
            let mut rows: Vec<Row> = (0..50).map(Row::of).collect();
            rows[30] = rows[30].clone().with(column, &text);
            let said = guarded.refuses(&["--accept"], &csv(&rows), &secret, column);
            assert!(said.err.contains("line 32"), "{}", said.err);
            // A row that is rejected for something else is looked at as well.
            rows[30] = rows[30].clone().with("sex", "9");
            guarded.refuses(&[], &csv(&rows), &secret, column);
        }
    }
    guarded.stayed_as_it_was();
}

#[test]
fn neither_a_dry_run_nor_json_nor_a_file_of_rejects_repeats_it() {
    let guarded = Guarded::new();
    let rows = [Row::of(1).with("sex", "9"), Row::of(2).with("segment", RIGHT)];
    let rejects = guarded.place.path("aside.csv");
    for more in [&["--dry-run"][..], &["--json"], &["--rejects", rejects.to_str().unwrap()]] {
        guarded.refuses(more, &csv(&rows), RIGHT, "segment");
        assert!(!rejects.exists());
    }
    let server = guarded.place.serve();
    guarded.refuses(&["--accept"], &csv(&rows), RIGHT, "segment");
    assert!(!server.process.err.all().join("\n").contains(RIGHT));
    drop(server);
    guarded.stayed_as_it_was();
}

#[test]
fn a_key_column_full_of_them_refuses_the_file() {
    let guarded = Guarded::new();
    for column in ["number", "recipient_number", "history_key", "card_link"] {
        let rows: Vec<Row> = (0..40).map(|body| Row::of(body).with(column, individual_number(31_415_926_535 + body))).collect();
        guarded.refuses(&["--accept"], &csv(&rows), &individual_number(31_415_926_535), column);
    }
    guarded.stayed_as_it_was();
}

#[test]
fn ordinary_keys_of_twelve_digits_pass_though_some_of_them_look_like_it() {
    let place = Place::new();
    let key = |number: u64| format!("{:012}", 202_604_010_000 + number * 7);
    let rows: Vec<Row> = (0..3000).map(|number| Row::of(number).with("history_key", key(number))).collect();
    let passing = (0..3000).filter(|number| individual_number((202_604_010_000 + number * 7) / 10) == key(*number)).count();
    assert!(passing > 100, "the test says nothing otherwise");
    place.import("rows.csv", &rows, &[]).ends(0);
    assert_eq!(place.verified()["rows"], 3000);

    // A text column may be full of other numbers of twelve digits, if it is mostly others.
    let rows: Vec<Row> = (0..200).map(|number| Row::of(number).with("additional_conditions", key(number))).collect();
    place.import("conditions.csv", &rows, &[]).ends(0);
}
