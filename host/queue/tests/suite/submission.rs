//! Accepting runs, and reading them back.

use super::*;

pub(crate) fn a_key_used_twice_gives_the_first_run_back(database: &dyn Database) {
    let bench = Bench::new(database);
    let run = |tenant: &str| NewRun::new(tenant, "alps", null()).idem_key("k").task(task("a"));
    let first = bench.store.submit(run("studio")).unwrap();
    let again = bench.store.submit(run("studio")).unwrap();
    let other = bench.store.submit(run("guest")).unwrap();
    assert!(first.created && !again.created && other.created);
    assert_eq!(first.run, again.run);
    assert_ne!(first.run, other.run);
    assert_eq!(bench.store.tasks(first.run).unwrap().len(), 1);
    bench.sound();
}

pub(crate) fn a_run_without_a_key_is_always_new(database: &dyn Database) {
    let bench = Bench::new(database);
    let runs = [bench.submit(vec![task("a")]), bench.submit(vec![task("a")])];
    assert_ne!(runs[0], runs[1]);
    let newest = bench.store.run(&RunKey::parse("alps")).unwrap();
    assert_eq!(newest.id, runs[1]);
    let filter = RunFilter { tenant: Some("studio".into()), before: Some(runs[1]), ..Default::default() };
    let older = bench.store.runs(&filter, 10).unwrap();
    assert_eq!(older.iter().map(|run| run.id).collect::<Vec<_>>(), [runs[0]]);
    bench.sound();
}

pub(crate) fn what_breaks_a_rule_is_refused_and_leaves_nothing(database: &dyn Database) {
    let bench = Bench::new(database);
    let new = || NewRun::new("studio", "alps", null());
    let refused = |run: NewRun| bench.store.submit(run).unwrap_err().code();
    assert_eq!(refused(new()), "queue_invalid");
    assert_eq!(refused(new().task(task(""))), "queue_invalid");
    assert_eq!(refused(new().task(task("a")).task(task("a"))), "queue_invalid");
    assert_eq!(refused(NewRun::new("\n", "x", null()).task(task("a"))), "queue_invalid");
    assert_eq!(refused(new().task(task("a").after("b")).task(task("b"))), "queue_unknown_parent");
    assert_eq!(refused(new().task(task("a").after("a"))), "queue_unknown_parent");
    let clash = SlotArtifact { bytes: 7, ..file("y", 1) };
    let files = task("a").artifact(file("x", 1)).artifact(clash);
    assert_eq!(refused(new().task(files)), "queue_artifact_mismatch");
    assert!(bench.store.runs(&RunFilter::default(), 10).unwrap().is_empty());
    assert!(bench.store.artifact_refs(None, 10).unwrap().is_empty());
    bench.sound();
}

pub(crate) fn unknown_things_are_named(database: &dyn Database) {
    let bench = Bench::new(database);
    let codes = [
        bench.store.run(&RunKey::parse("9")).unwrap_err().code(),
        bench.store.tasks(RunId(9)).unwrap_err().code(),
        bench.store.events(RunId(9), Seq(0), 1).unwrap_err().code(),
        bench.store.cancel_run(RunId(9)).unwrap_err().code(),
        bench.store.retry_run(RunId(9)).unwrap_err().code(),
    ];
    assert_eq!(codes, ["queue_unknown_run"; 5]);
    assert_eq!(bench.store.task(TaskId(9)).unwrap_err().code(), "queue_unknown_task");
    let claim = bench.store.claim(ClaimRequest::new(WorkerId(99), ["gpu"]));
    assert_eq!(claim.unwrap_err().code(), "queue_unknown_worker");
}

pub(crate) fn everything_handed_in_is_handed_out_again(database: &dyn Database) {
    let bench = Bench::new(database);
    let first = task("a").artifact(file("image_00", 1)).artifact(file("image_01", 2));
    let run = bench.submit(vec![first, task("b").after("a")]);
    let a = bench.take("a");
    assert_eq!((a.run, a.run_name.as_str(), a.tenant.as_str()), (run, "alps", "studio"));
    assert_eq!((a.spec.as_str(), &a.input), (r#"{"images":3}"#, &json!({"name": "a"})));
    assert_eq!(a.artifacts, [file("image_00", 1), file("image_01", 2)]);
    assert_eq!((a.attempt, a.max_attempts, a.lost, a.kind.as_str()), (1, 3, 0, "travel_segment"));

    let mut finish = Finish::new(a.task, a.token, json!({"frames": 81}));
    finish.artifacts = vec![file("clip", 3)];
    finish.run_output = Some(json!({"film": "alps.mp4"}));
    finish.events = vec![NewEvent { label: "seam".into(), data: json!(0.1) }];
    let finished = bench.store.succeed(finish).unwrap();
    assert_eq!(finished.released.len(), 1);

    let b = bench.take("b");
    assert_eq!(b.parents.len(), 1);
    assert_eq!(b.parents[0].output, Some(json!({"frames": 81})));
    assert_eq!(b.parents[0].artifacts, [file("clip", 3)]);
    let detail = bench.store.task(a.task).unwrap();
    assert_eq!((detail.children, detail.made), (vec![b.task], vec![file("clip", 3)]));
    assert_eq!(detail.attempts[0].outcome, Some(AttemptOutcome::Succeeded));
    assert_eq!(bench.run(run).output, Some(json!({"film": "alps.mp4"})));
    let refs = bench.store.artifact_refs(Some(ArtifactHash([1; 32])), 10).unwrap();
    assert_eq!(refs.iter().map(|r| (r.hash.0[0], r.uses)).collect::<Vec<_>>(), [(2, 1), (3, 1)]);
    bench.done(&b);
    assert_eq!(bench.run(run).state, RunState::Succeeded);
    bench.sound();
}

pub(crate) fn events_have_no_gap_and_are_read_from_any_place(database: &dyn Database) {
    let bench = Bench::new(database);
    let run = bench.submit(vec![task("a"), task("b").after("a")]);
    let other = bench.submit(vec![task("x")]);
    while let Some(claimed) = bench.claim() {
        bench.done(&claimed);
    }
    use EventKind::*;
    let all = [RunSubmitted, TaskStarted, TaskSucceeded, TaskStarted, TaskSucceeded, RunSucceeded];
    assert_eq!(bench.kinds(run), all);
    assert_eq!(bench.kinds(other), [RunSubmitted, TaskStarted, TaskSucceeded, RunSucceeded]);
    let part = bench.store.events(run, Seq(2), 3).unwrap();
    assert_eq!(part.iter().map(|e| e.seq.0).collect::<Vec<_>>(), [3, 4, 5]);
    bench.sound();
}
