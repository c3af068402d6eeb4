//! The audit on a simulated disk: a crash after every operation of writing and sealing, and every operation failing once.

#![allow(clippy::print_stdout, reason = "a proof is a line of output")]

use super::*;
use crate::disk::simulated::{Aftermath, Faults, SimulatedDisk};

const DIRECTORY: &str = "/data/audit";
const BLOCKS: u64 = 7;
const BLOCK: u64 = 12;

/// What was noted on a machine, as far as its disk and its process went.
struct Noting {
    disk: SimulatedDisk,
    /// Look-ups that were said to be durable.
    durable: u64,
}

fn options(disk: &SimulatedDisk) -> AuditOptions {
    AuditOptions { segment_bytes_max: 1_024, now_unix_ms: now, disk: Arc::new(disk.clone()), ..AuditOptions::default() }
}

/// A machine with a data directory in which the audit has run once already.
fn begun(seed: u64) -> SimulatedDisk {
    let disk = SimulatedDisk::new(seed);
    disk.create_directory(Path::new("/data")).unwrap();
    disk.sync_directory(Path::new("/")).unwrap();
    disk
}

/// Notes blocks, some of them synced at once and some later, over several segments, and seals the last.
fn note_everything(disk: SimulatedDisk) -> Noting {
    let mut noting = Noting { disk, durable: 0 };
    let _ = try_to_note(&mut noting);
    noting
}

fn try_to_note(noting: &mut Noting) -> Result<(), AuditError> {
    let mut writer = open_writer(Path::new(DIRECTORY), &options(&noting.disk), NOW)?.writer;
    for block in 0..BLOCKS {
        writer.append(&content(block * BLOCK..(block + 1) * BLOCK, NOW), NOW)?;
        if block % 2 == 0 {
            writer.sync(NOW)?;
            noting.durable = (block + 1) * BLOCK;
        }
    }
    writer.close(NOW)?;
    noting.durable = BLOCKS * BLOCK;
    Ok(())
}

/// The directory on a real disk, for those who read it there.
fn on_a_real_disk(disk: &SimulatedDisk) -> Home {
    let home = Home::new();
    fs::create_dir(home.path()).unwrap();
    for path in disk.files_below(Path::new(DIRECTORY)) {
        fs::write(home.path().join(path.file_name().unwrap()), disk.bytes_of(&path).unwrap()).unwrap();
    }
    home
}

fn look_ups(disk: &SimulatedDisk) -> Vec<String> {
    on_a_real_disk(disk).look_ups().iter().map(|look_up| format!("{:?}", (look_up.pseudonym, look_up.unix_ms))).collect()
}

/// What is there after the next start is whole, begins with everything that was said to be durable, and goes on.
fn judge(noting: &Noting, disk: &SimulatedDisk, all: &[String], words: &str) {
    let opened = open_writer(Path::new(DIRECTORY), &options(disk), NOW);
    let mut writer = opened.unwrap_or_else(|error| panic!("{words}: {error}")).writer;
    writer.append(&content(900..905, NOW), NOW).unwrap();
    writer.sync(NOW).unwrap();
    drop(writer);
    let disk = disk.after_power_failure(Aftermath::Lost);
    open_writer(Path::new(DIRECTORY), &options(&disk), NOW).unwrap().writer.close(NOW).unwrap();
    let home = on_a_real_disk(&disk);
    assert_eq!(home.faults(), [], "{words}\n{}", disk.last_operations().join("\n"));
    let found = look_ups(&disk);
    let kept = found.len().checked_sub(5).unwrap_or_else(|| panic!("{words}: what was noted afterwards is gone"));
    assert_eq!(found.get(..kept), all.get(..kept), "{words}: not a prefix");
    assert!(kept as u64 >= noting.durable, "{words}: {kept} of {} durable look-ups", noting.durable);
}

fn everything() -> (Vec<String>, u64, u64) {
    let whole = note_everything(begun(0));
    assert_eq!(whole.durable, BLOCKS * BLOCK);
    let all = look_ups(&whole.disk);
    assert_eq!(all.len() as u64, BLOCKS * BLOCK);
    (all, whole.disk.changes(), whole.disk.operations())
}

const PROMISE: &str = "every look-up that was said to be in the audit is in it, in order, and its chain is whole";

#[test]
fn writing_and_sealing_may_be_cut_off_after_any_operation() {
    let (all, changes, _) = everything();
    let mut judged = 0u64;
    for change in 1..=changes {
        let disk = begun(change);
        disk.set_faults(Faults { power_fails_after: Some(change), ..Faults::default() });
        let noting = note_everything(disk);
        for (seed, aftermath) in
            [None, Some(Aftermath::Lost), Some(Aftermath::Kept)].into_iter().chain([Some(Aftermath::Torn); 3]).enumerate()
        {
            let crashed = noting.disk.fork(seed as u64);
            let crashed = aftermath.map_or_else(|| crashed.after_kill(), |aftermath| crashed.after_power_failure(aftermath));
            judge(&noting, &crashed, &all, &format!("change {change}, {aftermath:?}, seed {seed}"));
            judged += 1;
        }
    }
    let test = "writing_and_sealing_may_be_cut_off_after_any_operation";
    println!("proof: {PROMISE} | crash after every operation of audit sealing | {test} | {judged}");
}

#[test]
fn any_operation_of_the_audit_may_fail() {
    let (all, _, operations) = everything();
    let mut judged = 0u64;
    for operation in 1..=operations {
        let disk = begun(operation);
        disk.set_faults(Faults { fails_at: Some(operation), ..Faults::default() });
        let noting = note_everything(disk);
        for seed in 0..3 {
            let crashed = noting.disk.fork(seed);
            let crashed = if seed == 0 { crashed.after_kill() } else { crashed.after_power_failure(Aftermath::Torn) };
            judge(&noting, &crashed, &all, &format!("operation {operation}, seed {seed}"));
            judged += 1;
        }
    }
    let test = "any_operation_of_the_audit_may_fail";
    println!("proof: {PROMISE} | EIO on the n-th operation of the audit | {test} | {judged}");
}

#[test]
fn a_seal_that_a_killed_process_had_just_written_lasts_once_the_next_start_goes_on_behind_it() {
    let disk = begun(1);
    let mut writer = open_writer(Path::new(DIRECTORY), &options(&disk), NOW).unwrap().writer;
    writer.append(&content(0..5, NOW), NOW).unwrap();
    writer.sync(NOW).unwrap();
    // The seal is appended; its sync never comes.
    disk.set_faults(Faults { power_fails_after: Some(1), ..Faults::default() });
    assert!(writer.close(NOW).is_err());
    let disk = disk.after_kill();
    let mut writer = open_writer(Path::new(DIRECTORY), &options(&disk), NOW).unwrap().writer;
    writer.append(&content(5..9, NOW), NOW).unwrap();
    writer.close(NOW).unwrap();
    let home = on_a_real_disk(&disk.after_power_failure(Aftermath::Lost));
    home.is_whole();
    assert_eq!(home.look_ups().len(), 9);
}
