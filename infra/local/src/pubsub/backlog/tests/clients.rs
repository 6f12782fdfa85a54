//! Whose the keys are: a client's, by one stream after another.

use super::*;

impl Case {
    fn attach_of(&mut self, reader: u64, client: u64) {
        let flow = Flow::default();
        self.backlog
            .attach(reader, Some(client), flow, Arc::default());
    }
}

#[test]
fn a_client_s_next_reader_has_its_keys_and_what_is_outstanding_of_them() {
    let mut case = case();
    case.attach_of(10, 7);
    case.push(&["a", "b"]);
    let taken = case.take(10);
    assert_eq!(taken.len(), 2);
    case.backlog.detach(10);
    case.push(&["a"]);
    case.attach_of(11, 8);
    assert_eq!(case.numbers(11), [0; 0], "another client");
    case.attach_of(12, 7);
    assert_eq!(case.numbers(12), [3]);
    case.push(&["b"]);
    assert_eq!(case.numbers(12), [4]);
    // What it has from before comes again when its deadline passes, not sooner.
    assert_eq!(case.wait(TEN), 4);
    assert_eq!(case.numbers(1), [2, 4, 1, 3]);
}

#[test]
fn of_two_readers_of_a_client_a_key_is_with_one_while_that_is_there() {
    let mut case = case();
    case.attach_of(10, 7);
    case.push(&["a"]);
    case.take(10);
    case.attach_of(11, 7);
    case.push(&["a"]);
    assert_eq!(case.numbers(11), [0; 0]);
    // With what waits.
    case.backlog.detach(10);
    assert_eq!(case.numbers(11), [2]);
    case.push(&["a"]);
    assert_eq!(case.numbers(11), [3]);
}
