//! What an import does with a file and how it ends: exit statuses, rejects, gates, files that come again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::{COLUMNS, Place, Row, Running, ask_member, csv, day, run};

/// The verdict letter that a look-up without a server gives for a person.
#[track_caller]
fn verdict(place: &Place, row: &Row) -> String {
    let line = format!("{}\t{}", ask_member(row), day(0));
    let data = place.data();
    let arguments = ["lookup", "--data", data.to_str().unwrap(), "--stdin", "--consent"];
    common::run_with_input(arguments, &line).ends(0).json()["verdict"].as_str().unwrap().to_owned()
}

fn rows(numbers: std::ops::Range<u64>) -> Vec<Row> {
    numbers.map(Row::of).collect()
}

#[test]
fn a_clean_file_ends_with_0_and_says_how_far_it_is_durable() {
    let place = Place::new();
    let said = place.import("rows.csv", &rows(0..10), &[]).ends(0);
    let durable: Vec<&str> = said.out.lines().filter(|line| line.starts_with("durable ")).collect();
    assert!(!durable.is_empty(), "{}", said.out);
    for line in &durable {
        let words: Vec<&str> = line.split(' ').collect();
        assert!(words.len() == 3 && words[1].starts_with("sequence=") && words[2].starts_with("line="), "{line}");
    }
    assert!(durable.last().unwrap().ends_with(" line=11"), "ten rows below the header: {durable:?}");
    assert!(said.out.contains("10 new"), "{}", said.out);
    assert!(!place.path("rows.csv.rejects.csv").exists() && !place.path("rows.csv.reasons.csv").exists());
    assert_eq!(verdict(&place, &Row::of(3)), "eligible");

    // A header alone is a file without rows.
    place.import("empty.csv", &[], &[]).ends(0);
}

#[test]
fn a_file_that_cannot_be_read_ends_with_1_and_applies_nothing() {
    let place = Place::new();
    place.import("rows.csv", &rows(0..2), &[]).ends(0);
    let before = place.state_checksum();
    let text = csv(&rows(2..4));
    let without = |column: &str| {
        let place = COLUMNS.iter().position(|name| *name == column).unwrap();
        let cut = |line: &str| {
            let mut fields: Vec<&str> = line.split(',').collect();
            fields.remove(place);
            fields.join(",")
        };
        text.lines().map(|line| cut(line) + "\n").collect::<String>()
    };
    let cases = [
        ("nothing.csv", String::new(), "empty"),
        ("unknown.csv", text.replacen("card_link", "card_lnik", 1), "card_lnik"),
        ("twice.csv", text.replacen("symbol", "number", 1), "number"),
        ("missing.csv", without("history_key"), "history_key"),
        ("no_header.csv", text.lines().skip(1).map(|line| format!("{line}\n")).collect(), "line 1"),
    ];
    for (name, content, what) in cases {
        let file = place.write(name, content);
        let said = place.run("import", &[file.to_str().unwrap()]).ends(1);
        assert!(said.err.contains(name) && said.err.contains(what), "{}", said.err);
        assert!(!said.out.contains("durable"), "{}", said.out);
    }
    let absent = place.path("absent.csv");
    assert!(place.run("import", &[absent.to_str().unwrap()]).ends(1).err.contains("absent.csv"));
    place.run("import", &[place.0.path().to_str().unwrap()]).ends(1);
    // Without the optional columns a file is as good.
    let fewer = place.write("fewer.csv", without("card_link"));
    place.run("import --dry-run", &[fewer.to_str().unwrap()]).ends(0);
    assert_eq!(place.state_checksum(), before);
}

#[test]
fn wrong_usage_ends_with_2() {
    let place = Place::new();
    for line in ["", "improt", "import", "lookup", "serve", "snapshot", "synth --recipients many --out x"] {
        run(line.split_whitespace()).ends(2);
    }
    place.run("import", &[]).ends(2);
    place.run("import --encoding sjis", &["x.csv"]).ends(2);
    place.run("import --dates us", &["x.csv"]).ends(2);
    place.run("lookup --member 1:2:3:", &[]).ends(2);
}

#[test]
fn bad_rows_are_left_out_alone_and_can_be_mended_and_imported() {
    let place = Place::new();
    let good = [Row::of(1), Row::of(2), Row::of(3)];
    let bad = [
        (Row::of(4).with("authority_code", "132013"), "authority_code"),
        (Row::of(5).with("valid_from", "2026-02-30"), "valid_from"),
        (Row::of(6).with("sex", "9"), "sex"),
        (Row::of(7).with("segment", "quoted, \"and\" long".repeat(5)), "segment"),
    ];
    let file = [&good[0], &bad[0].0, &bad[1].0, &good[1], &bad[2].0, &bad[3].0, &good[2]];
    let said = place.import("rows.csv", file, &[]).ends(3);
    assert!(said.out.contains("3 new") && said.out.contains("4 rejected"), "{}", said.out);
    let rejects = place.read("rows.csv.rejects.csv");
    assert_eq!(rejects, csv(bad.iter().map(|(row, _)| row)), "the rows as they came");
    let reasons = place.read("rows.csv.reasons.csv");
    let reasons: Vec<Vec<&str>> = reasons.lines().map(|line| line.splitn(4, ',').collect()).collect();
    assert_eq!(reasons[0], ["line", "column", "code", "message"]);
    let places: Vec<(&str, &str)> = reasons[1..].iter().map(|fields| (fields[0], fields[1])).collect();
    assert_eq!(places, [("3", "authority_code"), ("4", "valid_from"), ("6", "sex"), ("7", "segment")]);
    for row in &good {
        assert_eq!(verdict(&place, row), "eligible");
    }
    assert_eq!(verdict(&place, &bad[0].0), "not_registered");

    let mended = rejects
        .replace(",132013,", ",132012,")
        .replace("2026-02-30", &day(-10))
        .replace(",9,", ",2,")
        .replace(&bad[3].0.value("segment").replace('"', "\"\""), "short");
    let mended = place.write("mended.csv", mended);
    place.run("import", &[mended.to_str().unwrap()]).ends(0);
    for (row, _) in &bad {
        assert_eq!(verdict(&place, row), "eligible");
    }
}

#[test]
fn rejects_go_where_they_are_told_to() {
    let place = Place::new();
    let rejects = place.path("aside.csv");
    let bad = Row::of(1).with("op", "replace");
    place.import("rows.csv", [&bad], &["--rejects", rejects.to_str().unwrap()]).ends(3);
    assert_eq!(place.read("aside.csv"), csv([&bad]));
    assert!(place.read("aside.csv.reasons.csv").contains("op"));
    assert!(!place.path("rows.csv.rejects.csv").exists());
}

#[test]
fn a_dry_run_tells_the_same_and_changes_nothing() {
    let place = Place::new();
    place.import("first.csv", &rows(0..2), &[]).ends(0);
    let before = place.verified();
    place.import("clean.csv", &rows(2..4), &["--dry-run"]).ends(0);
    let bad = Row::of(9).with("number", "");
    let said = place.import("bad.csv", [&Row::of(8), &bad], &["--dry-run"]).ends(3);
    assert!(said.out.contains("nothing was applied") && !said.out.contains("durable"), "{}", said.out);
    assert_eq!(place.read("bad.csv.rejects.csv"), csv([&bad]));
    let report = place.verified();
    assert_eq!((&report["state_checksum"], &report["rows"]), (&before["state_checksum"], &before["rows"]));
    assert_eq!(verdict(&place, &Row::of(2)), "not_registered");
}

#[test]
fn a_dry_run_where_nothing_is_registered_examines_and_leaves_nothing_behind() {
    let place = Place::new();
    let bad = Row::of(9).with("number", "");
    for there in [false, true] {
        if there {
            std::fs::create_dir(place.data()).unwrap();
        }
        let said = place.import("rows.csv", [&Row::of(8), &bad], &["--dry-run"]).ends(3);
        assert!(said.out.contains("2 rows examined, 1 would be rejected; nothing was applied"), "{}", said.out);
        assert_eq!(place.read("rows.csv.rejects.csv"), csv([&bad]));
        assert_eq!(place.data().exists(), there);
    }
    assert_eq!(std::fs::read_dir(place.data()).unwrap().count(), 0);
    // What was examined is judged by the masters that a new stream begins with.
    let nobody = Row::of(7).with("authority_code", "999999");
    place.import("nobody.csv", [&nobody], &["--dry-run"]).ends(3);
    place.import("nobody.csv", [&nobody], &[]).ends(3);
    // The same file is then imported as if it had never been examined.
    place.import("rows.csv", [&Row::of(8), &bad], &[]).ends(3);
    assert_eq!(verdict(&place, &Row::of(8)), "eligible");
}

#[test]
fn a_column_that_went_blank_is_held_until_somebody_accepts_it() {
    let place = Place::new();
    let full = rows(0..200);
    place.import("full.csv", &full, &[]).ends(0);
    let before = place.state_checksum();
    let blank: Vec<Row> = full.iter().map(|row| row.clone().with("outpatient_visit_yen", "")).collect();
    let said = place.import("blank.csv", &blank, &[]).ends(4);
    assert!(said.out.contains("blank_column") && said.out.contains("outpatient_visit_yen"), "{}", said.out);
    assert!(said.out.contains("--accept") && !said.out.contains("durable"), "{}", said.out);
    assert_eq!(place.state_checksum(), before);
    place.import("blank.csv", &blank, &["--dry-run"]).ends(4);

    // An ordinary change file is small, and may leave the column empty.
    place.import("changes.csv", &blank[..20], &[]).ends(0);
    assert_ne!(place.state_checksum(), before);

    let held = place.import("blank.csv", &blank, &["--json"]).ends(4).json();
    assert_eq!((&held["ending"], &held["gates"][0]["gate"]), (&"held".into(), &"blank_column".into()), "{held}");
    let said = place.import("blank.csv", &blank, &["--accept"]).ends(0);
    assert!(said.out.contains("accepted: blank_column"), "{}", said.out);
    let log = std::fs::read(place.data().join("log/00000000000000000001.seg")).unwrap();
    let log = String::from_utf8_lossy(&log);
    assert!(log.contains("\"gates_overridden\":[\"blank_column\"]") && log.contains("\"accepted_by\":\""));
    assert!(log.contains(held["file_hash"].as_str().unwrap()));
}

#[test]
fn withdrawing_more_than_a_fifth_is_held() {
    let place = Place::new();
    let full = rows(0..200);
    place.import("full.csv", &full, &[]).ends(0);
    let before = place.state_checksum();
    let withdrawals: Vec<Row> = full.iter().map(Row::withdrawn).collect();
    let said = place.import("mass.csv", &withdrawals[..41], &[]).ends(4);
    assert!(said.out.contains("mass_withdrawal"), "{}", said.out);
    assert_eq!(place.state_checksum(), before);
    let said = place.import("ordinary.csv", &withdrawals[..40], &[]).ends(0);
    assert!(said.out.contains("40 withdrawn"), "{}", said.out);
    assert_eq!(verdict(&place, &full[0]), "not_registered");
    assert_eq!(verdict(&place, &full[40]), "eligible");
    // A person who means it says so.
    place.import("all.csv", &withdrawals, &[]).ends(4);
    place.import("all.csv", &withdrawals, &["--accept"]).ends(0);
    assert_eq!(place.verified()["rows"], 0);
}

#[test]
fn more_than_a_twentieth_of_rejects_is_held_and_still_says_which() {
    let place = Place::new();
    let with_bad = |bad: u64| -> Vec<Row> {
        let mended = |number| if number < bad { Row::of(number).with("sex", "4") } else { Row::of(number) };
        (0..100).map(mended).collect()
    };
    let said = place.import("six.csv", &with_bad(6), &[]).ends(4);
    assert!(said.out.contains("many_rejects"), "{}", said.out);
    assert_eq!(place.read("six.csv.rejects.csv"), csv(&with_bad(6)[..6]));
    assert_eq!(place.verified()["rows"], 0);
    place.import("five.csv", &with_bad(5), &[]).ends(3);
    // Of fewer than a hundred rows the share says nothing.
    place.import("few.csv", &with_bad(50)[..60], &[]).ends(3);
}

#[test]
fn a_file_that_comes_again_changes_nothing_and_an_older_one_is_held() {
    let place = Place::new();
    let first = rows(0..20);
    place.import("monday.csv", &first, &[]).ends(0);
    let monday = place.state_checksum();
    let said = place.import("monday.csv", &first, &[]).ends(0);
    assert!(said.out.contains("applied before"), "{}", said.out);
    assert_eq!(place.state_checksum(), monday);
    // It is the content that counts, not the name; and rows that say nothing new change nothing.
    place.import("copy.csv", &first, &[]).ends(0);
    let reversed: Vec<Row> = first.iter().rev().cloned().collect();
    let said = place.import("reversed.csv", &reversed, &[]).ends(0);
    assert!(said.out.contains("20 unchanged"), "{}", said.out);
    assert_eq!(place.state_checksum(), monday);

    let tuesday: Vec<Row> = first[..5].iter().map(|row| row.clone().with("valid_to", day(-1))).collect();
    place.import("tuesday.csv", &tuesday, &[]).ends(0);
    assert_eq!(verdict(&place, &first[0]), "expired");
    let after = place.state_checksum();
    let said = place.import("monday.csv", &first, &[]).ends(4);
    assert!(said.out.contains("older_file"), "{}", said.out);
    assert_eq!(place.state_checksum(), after);
    let said = place.import("monday.csv", &first, &["--accept"]).ends(0);
    assert!(said.out.contains("accepted: older_file"), "{}", said.out);
    assert_eq!(place.state_checksum(), monday);
    // Now Tuesday's is the older one.
    place.import("tuesday.csv", &tuesday, &[]).ends(4);
}

#[test]
fn another_authority_does_not_make_a_file_older() {
    let place = Place::new();
    place.import("hachioji.csv", &rows(0..3), &[]).ends(0);
    let kofu: Vec<Row> = rows(10..13).into_iter().map(|row| row.with("authority_code", "192015")).collect();
    place.import("kofu.csv", &kofu, &[]).ends(0);
    let said = place.import("hachioji.csv", &rows(0..3), &[]).ends(0);
    assert!(said.out.contains("applied before"), "{}", said.out);
}

#[test]
fn a_file_with_rejects_is_applied_again() {
    let place = Place::new();
    let file = [Row::of(1), Row::of(2).with("sex", "7")];
    place.import("rows.csv", &file, &[]).ends(3);
    let said = place.import("rows.csv", &file, &[]).ends(3);
    assert!(said.out.contains("1 unchanged") && said.out.contains("1 rejected"), "{}", said.out);
}

#[test]
fn several_files_go_in_order_and_stop_at_the_first_that_is_held_or_fails() {
    let place = Place::new();
    place.import("full.csv", &rows(0..200), &[]).ends(0);
    let files =
        |names: &[&str]| -> Vec<String> { names.iter().map(|name| place.path(name).to_str().unwrap().to_owned()).collect() };
    let import = |names: &[&str]| {
        let files = files(names);
        place.run("import", &files.iter().map(String::as_str).collect::<Vec<_>>())
    };
    place.file("one.csv", [&Row::of(301)]);
    place.file("rejecting.csv", [&Row::of(302), &Row::of(303).with("sex", "x")]);
    let blank: Vec<Row> = rows(0..200).into_iter().map(|row| row.with("outpatient_visit_yen", "")).collect();
    place.file("held.csv", &blank);
    place.file("last.csv", [&Row::of(304)]);
    import(&["one.csv", "rejecting.csv", "held.csv", "last.csv"]).ends(4);
    assert_eq!(verdict(&place, &Row::of(301)), "eligible");
    assert_eq!(verdict(&place, &Row::of(302)), "eligible");
    assert_eq!(verdict(&place, &Row::of(304)), "not_registered");
    import(&["rejecting.csv", "absent.csv", "last.csv"]).ends(1);
    assert_eq!(verdict(&place, &Row::of(304)), "not_registered");
    import(&["rejecting.csv", "last.csv"]).ends(3);
    assert_eq!(verdict(&place, &Row::of(304)), "eligible");
}

#[test]
fn a_pipe_is_refused_because_a_file_is_read_twice() {
    let place = Place::new();
    let pipe = place.path("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let data = place.data();
    let arguments = ["import", "--data", data.to_str().unwrap(), pipe.to_str().unwrap()];
    let mut import = Running::start(arguments);
    assert_eq!(import.wait().0, 1);
    assert!(import.err.all().join("\n").contains("regular file"), "{:?}", import.err.all());
    let arguments = ["import", "--data", data.to_str().unwrap(), "/dev/stdin"];
    let said = common::run_with_input(arguments, &csv(&rows(0..2))).ends(1);
    assert!(said.err.contains("regular file"), "{}", said.err);
}

/// The engine spoils a leaf that packs to a little less than 64 KiB; see docs/decisions/store-engine.md.
#[test]
fn no_leaf_of_the_store_comes_near_the_length_that_the_engine_spoils() {
    let place = Place::new();
    let file = place.path("rows.csv");
    common::run(["synth", "--recipients", "20000", "--as-of", &common::day(0), "--out", file.to_str().unwrap()]).ends(0);
    place.run("import", &[file.to_str().unwrap()]).ends(0);
    let slabs = std::fs::read_dir(place.data().join("store/slabs")).unwrap().map(|slab| slab.unwrap());
    let used = slabs.filter(|slab| slab.metadata().unwrap().len() > 0);
    let largest = used.map(|slab| slab.file_name().to_str().unwrap().parse::<u64>().unwrap()).max().unwrap();
    assert!((4 << 10..48 << 10).contains(&largest), "a leaf takes {largest} bytes");
}

#[test]
fn a_person_has_at_most_64_rows() {
    let place = Place::new();
    let many: Vec<Row> = (0..65).map(|key| Row::of(1).with("sub_key", format!("{key:02}"))).collect();
    place.import("rows.csv", &many, &[]).ends(3);
    assert!(place.read("rows.csv.reasons.csv").contains("66,number,dossier_full"));
    assert_eq!(place.read("rows.csv.rejects.csv"), csv(&many[64..]));
    assert_eq!(place.verified()["rows"], 64);
}
