use super::*;

#[test]
fn lines_of_the_server_have_room_when_those_of_sessions_have_none_left() {
    let (writer, backlog, destination) = stalled([]);
    let session = "session\n".repeat(10);
    for number in 0..1_000 {
        (0..20).for_each(|_| writer.write(Lane::Sessions, session.as_bytes()));
        writer.write(Lane::Server, format!("own {number}\n").as_bytes());
    }
    let dropped = backlog.dropped();
    assert!(dropped > 0);
    destination.release();
    assert!(backlog.flush(AGES));
    let output = destination.output();
    let own: Vec<_> = output.lines().filter_map(|line| line.strip_prefix("own ")).collect();
    assert_eq!(own, (0..1_000).map(|number| number.to_string()).collect::<Vec<_>>());
    // Before the room ran out, lines of both lanes stand in the order in which they came.
    assert!(output.starts_with(&format!("first\n{}own 0\nsession\n", session.repeat(20))));
    let report = format!(" {dropped} session lines were dropped: the reader of the log was too slow\n");
    assert!(output.ends_with(&report), "{}", output.lines().last().unwrap());
}

#[test]
fn dropped_lines_are_reported_per_lane() {
    let (writer, backlog, destination) = stalled([]);
    for lane in [Lane::Server, Lane::Sessions, Lane::Sessions] {
        writer.write(lane, &[b'x'; CAPACITY + 1]);
    }
    writer.write(Lane::Server, b"after a dropped one\n");
    destination.release();
    assert!(backlog.flush(AGES));
    assert!(destination.output().contains("] 2 lines and 2 session lines were dropped: "));
    assert_eq!(backlog.dropped(), 4);
}
