use std::process::Command;

use super::*;

/// The test that the child process runs; without the variable it has nothing to do.
const CHILD: &str = "VIBERCHAT_TEST_FAULT_CHILD";

#[test]
fn a_child_passes_kill_points() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    for pass in 1..=3 {
        kill_point("conversation.change_committed");
        kill_point("message.log_committed");
        println!("passed {pass}");
    }
    println!("dedup_off is {}", mutant("dedup_off"));
    println!("ack_before_write is {}", mutant("ack_before_write"));
    println!("the file layer is {:?}", sqlite_vfs());
}

fn child(variables: &[(&str, &str)]) -> (bool, String) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "fault::tests::a_child_passes_kill_points", "--nocapture"])
        .env_remove(MUTANT_VARIABLE)
        .env_remove(KILL_POINT_VARIABLE)
        .env_remove(SQLITE_VFS_VARIABLE)
        .env(CHILD, "1")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn a_process_ends_at_the_pass_that_was_asked_for() {
    let (ended_well, text) = child(&[(KILL_POINT_VARIABLE, "message.log_committed:3")]);
    assert!(!ended_well && text.contains("passed 2") && !text.contains("passed 3"), "{text}");
    let (ended_well, text) = child(&[(KILL_POINT_VARIABLE, "message.log_committed")]);
    assert!(!ended_well && !text.contains("passed 1"), "{text}");
    let (ended_well, text) = child(&[(KILL_POINT_VARIABLE, "message.log_committed:4")]);
    assert!(ended_well && text.contains("passed 3"), "{text}");
}

#[test]
fn one_mutant_is_awake_when_it_is_named() {
    let (_, text) = child(&[(MUTANT_VARIABLE, "dedup_off")]);
    assert!(text.contains("dedup_off is true") && text.contains("ack_before_write is false"), "{text}");
    let (_, text) = child(&[]);
    assert!(text.contains("dedup_off is false") && text.contains("ack_before_write is false"), "{text}");
}

#[test]
fn the_file_layer_is_chosen_by_name() {
    let (_, text) = child(&[(SQLITE_VFS_VARIABLE, "unsynced")]);
    assert!(text.contains("the file layer is Some(\"viberchat-unsynced\")"), "{text}");
    let (_, text) = child(&[]);
    assert!(text.contains("the file layer is None"), "{text}");
}

#[test]
fn names_that_are_not_listed_end_the_process() {
    for (variable, value) in [
        (MUTANT_VARIABLE, "dedup_of"),
        (KILL_POINT_VARIABLE, "message.log"),
        (KILL_POINT_VARIABLE, "message.log_committed:0"),
        (KILL_POINT_VARIABLE, "message.log_committed:x"),
        (SQLITE_VFS_VARIABLE, "synced"),
    ] {
        let (ended_well, text) = child(&[(variable, value)]);
        assert!(!ended_well, "{variable}={value}: {text}");
    }
}

#[test]
#[should_panic(expected = "not in the list of mutants: no_such")]
fn a_mutant_that_is_not_listed_is_a_defect() {
    mutant("no_such");
}

#[test]
#[should_panic(expected = "not in the list of kill points: no.such")]
fn a_kill_point_that_is_not_listed_is_a_defect() {
    kill_point("no.such");
}
