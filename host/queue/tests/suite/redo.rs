//! Doing a task again: what is opened, what is kept, what is found again.

use super::*;

/// a → b → film, and c → film.
fn diamond(bench: &Bench<'_>) -> RunId {
    bench.submit(vec![
        NewTask { artifacts: vec![file("still", 9)], ..task("a") },
        task("b").after("a"),
        task("c"),
        task("film").after("b").after("c"),
    ])
}

/// Makes a task with one file, remembered as `memo`.
fn make(bench: &Bench<'_>, name: &str, byte: u8, memo: Option<u8>) -> Claimed {
    let claimed = bench.take(name);
    let mut finish = Finish::new(claimed.task, claimed.token, json!({"take": byte}));
    finish.artifacts = vec![file("clip", byte)];
    finish.memo = memo.map(|byte| ArtifactHash([byte; 32]));
    bench.store.succeed(finish).unwrap();
    claimed
}

fn make_all(bench: &Bench<'_>) -> RunId {
    let run = diamond(bench);
    for (name, byte) in [("a", 1), ("b", 3), ("c", 2), ("film", 4)] {
        make(bench, name, byte, Some(100 + byte));
    }
    assert_eq!(bench.run(run).state, RunState::Succeeded);
    run
}

pub(crate) fn a_task_done_again_opens_only_what_depends_on_it(database: &dyn Database) {
    let bench = Bench::new(database);
    let run = make_all(&bench);
    let [a, b, film] = ["a", "b", "film"].map(|name| bench.view(run, name).id);
    let revived = bench.store.redo(vec![(b, Redo::Anew(json!({"seed": 2})))]).unwrap();
    assert_eq!((revived.run_state, revived.tasks), (RunState::Active, vec![b, film]));
    assert_eq!(bench.state(run, "c"), TaskState::Succeeded);
    assert_eq!(bench.store.redo(vec![(film, Redo::Anew(json!({})))]).unwrap_err().code(), "queue_still_open");
    bench.sound();

    let again = make(&bench, "b", 5, Some(105));
    assert_eq!(again.input, json!({"seed": 2}));
    assert_eq!(again.parents[0].artifacts[0], file("clip", 1), "what was not done again is as it was");
    let stitch = bench.take("film");
    let of_b = stitch.parents.iter().find(|parent| parent.name == "b").unwrap();
    assert_eq!((of_b.output.clone(), &of_b.artifacts[..]), (Some(json!({"take": 5})), &[file("clip", 5)][..]));
    assert_eq!(bench.store.redo(vec![(a, Redo::Anew(json!({})))]).unwrap_err().code(), "queue_still_open");
    bench.done(&stitch);
    assert_eq!(bench.run(run).state, RunState::Succeeded);
    let takes = bench.store.takes(b).unwrap();
    let told: Vec<_> =
        takes.iter().map(|t| (t.input.clone(), t.output.clone(), t.made[0].hash.0[0], t.is_chosen)).collect();
    assert_eq!(
        told,
        [(json!({"name": "b"}), json!({"take": 3}), 3, false), (json!({"seed": 2}), json!({"take": 5}), 5, true)]
    );
    bench.sound();
}

pub(crate) fn a_former_take_can_be_chosen(database: &dyn Database) {
    let bench = Bench::new(database);
    let run = make_all(&bench);
    let [b, film] = ["b", "film"].map(|name| bench.view(run, name).id);
    bench.store.redo(vec![(b, Redo::Anew(json!({"seed": 2})))]).unwrap();
    let former = bench.store.takes(b).unwrap()[0].token;
    assert_eq!(bench.store.redo(vec![(b, Redo::Choose(former))]).unwrap_err().code(), "queue_still_open");
    make(&bench, "b", 5, Some(105));
    make(&bench, "film", 6, Some(106));

    let revived = bench.store.redo(vec![(b, Redo::Choose(former))]).unwrap();
    assert_eq!((revived.run_state, revived.tasks), (RunState::Active, vec![film]));
    let detail = bench.store.task(b).unwrap();
    assert_eq!((detail.task.state, detail.input), (TaskState::Succeeded, json!({"name": "b"})));
    assert_eq!((detail.output, detail.made), (Some(json!({"take": 3})), vec![file("clip", 3)]));
    bench.sound();
    // The film of before, from the same clips, is no new take.
    make(&bench, "film", 4, Some(104));
    let takes = bench.store.takes(film).unwrap();
    assert_eq!(takes.iter().map(|take| take.is_chosen).collect::<Vec<_>>(), [true, false]);
    assert_eq!(bench.store.redo(vec![(b, Redo::Choose(LeaseToken(77)))]).unwrap_err().code(), "queue_unknown_take");
    bench.sound();

    let policy = PrunePolicy { finished_before: TimestampMs(i64::MAX), keep: 0, states: Vec::new(), tenant: None };
    let refs = |bench: &Bench<'_>| bench.store.artifact_refs(None, 100).unwrap().len();
    assert_eq!(refs(&bench), 7, "the still, and every take's file");
    while bench.store.prune(&policy, Trial::Real).unwrap().more {}
    assert_eq!(refs(&bench), 0);
    bench.sound();
}

pub(crate) fn a_result_is_remembered_by_what_it_was_made_from_and_for_its_tenant(database: &dyn Database) {
    let bench = Bench::new(database);
    let run = make_all(&bench);
    let memo = |byte: u8| ArtifactHash([byte; 32]);
    let found = bench.store.remembered("studio", memo(103)).unwrap().unwrap();
    assert_eq!((found.task, found.output), (bench.view(run, "b").id, json!({"take": 3})));
    assert_eq!(found.made, [file("clip", 3)]);
    assert_eq!(bench.store.remembered("studio", memo(1)).unwrap(), None);
    assert_eq!(bench.store.remembered("another", memo(103)).unwrap(), None);
}

pub(crate) fn what_a_finished_run_has_made_can_be_forgotten_but_for_some_slots(database: &dyn Database) {
    let bench = Bench::new(database);
    let run = bench.submit(vec![NewTask { artifacts: vec![file("still", 9)], ..task("a") }]);
    assert_eq!(bench.store.expire(run, &["film"], Trial::Dry).unwrap_err().code(), "queue_still_active");
    let a = bench.take("a");
    let finish = Finish::new(a.task, a.token, json!({}));
    let made = vec![file("clip", 1), file("film", 2)];
    bench.store.succeed(Finish { artifacts: made, memo: Some(ArtifactHash([7; 32])), ..finish }).unwrap();
    let want = Expired { files: 1, bytes: 10 };
    assert_eq!(bench.store.expire(run, &["film"], Trial::Dry).unwrap(), want);
    assert_eq!(bench.store.expire(run, &["film"], Trial::Real).unwrap(), want);
    assert_eq!(bench.store.expire(run, &["film"], Trial::Real).unwrap(), Expired::default());
    let left: Vec<u8> = bench.store.artifact_refs(None, 10).unwrap().iter().map(|file| file.hash.0[0]).collect();
    assert_eq!(left, [2, 9], "the film, and what it was made from");
    assert_eq!(bench.store.remembered("studio", ArtifactHash([7; 32])).unwrap().unwrap().made, [file("film", 2)]);
    assert_eq!(bench.store.expire(RunId(99), &[], Trial::Dry).unwrap_err().code(), "queue_unknown_run");
    bench.sound();
}

pub(crate) fn a_redo_that_failed_can_be_undone_by_its_former_take(database: &dyn Database) {
    let bench = Bench::new(database);
    let run = make_all(&bench);
    let [b, film] = ["b", "film"].map(|name| bench.view(run, name).id);
    let former = bench.store.takes(b).unwrap()[0].token;
    bench.store.redo(vec![(b, Redo::Anew(json!({"seed": 2})))]).unwrap();
    let again = bench.take("b");
    bench.fail(&again, Retry::Never);
    assert_eq!((bench.state(run, "film"), bench.run(run).state), (TaskState::Skipped, RunState::Failed));
    bench.sound();
    let revived = bench.store.redo(vec![(b, Redo::Choose(former))]).unwrap();
    assert_eq!((revived.run_state, revived.tasks), (RunState::Active, vec![film]));
    assert_eq!((bench.run(run).failed_tasks, bench.run(run).error), (0, None));
    bench.sound();
    let stitch = make(&bench, "film", 4, None);
    let of_b = stitch.parents.iter().find(|parent| parent.name == "b").unwrap();
    assert_eq!(of_b.artifacts, [file("clip", 3)]);
    assert_eq!(bench.run(run).state, RunState::Succeeded);
    bench.sound();
}

pub(crate) fn a_result_that_is_chosen_may_be_all_that_a_run_needs(database: &dyn Database) {
    let bench = Bench::new(database);
    let run = make_all(&bench);
    let film = bench.view(run, "film").id;
    let former = bench.store.takes(film).unwrap()[0].token;
    bench.store.redo(vec![(film, Redo::Anew(json!({"seed": 2})))]).unwrap();
    let again = bench.take("film");
    bench.fail(&again, Retry::Never);
    assert_eq!(bench.run(run).state, RunState::Failed);
    let revived = bench.store.redo(vec![(film, Redo::Choose(former))]).unwrap();
    assert_eq!((revived.run_state, revived.tasks), (RunState::Succeeded, Vec::new()));
    assert_eq!((bench.run(run).failed_tasks, bench.run(run).error), (0, None));
    bench.sound();
}

pub(crate) fn a_redo_does_not_set_going_what_needs_another_failed_task(database: &dyn Database) {
    let bench = Bench::new(database);
    let run = diamond(&bench);
    make(&bench, "a", 1, None);
    make(&bench, "b", 3, None);
    let c = bench.take("c");
    bench.fail(&c, Retry::Never);
    let b = bench.view(run, "b").id;
    let revived = bench.store.redo(vec![(b, Redo::Anew(json!({"seed": 2})))]).unwrap();
    assert_eq!(revived.tasks, [b], "the film would be skipped again");
    make(&bench, "b", 5, None);
    assert_eq!((bench.state(run, "film"), bench.run(run).state), (TaskState::Skipped, RunState::Failed));
    bench.store.retry_run(run).unwrap();
    make(&bench, "c", 6, None);
    make(&bench, "film", 7, None);
    assert_eq!(bench.run(run).state, RunState::Succeeded);
    bench.sound();
}
