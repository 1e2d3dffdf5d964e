//! Edges: fan-in, emission, what follows a failure, cancelling, retrying.

use super::*;

pub(crate) fn a_task_waits_for_every_parent_and_for_nothing_else(database: &dyn Database) {
    let bench = Bench::new(database);
    let mut tasks: Vec<_> = (0..50).map(|n| task(&format!("s{n:02}"))).collect();
    let stitch = (0..50).fold(task("stitch"), |t, n| t.after(format!("s{n:02}")));
    tasks.push(stitch);
    let run = bench.submit(tasks);
    assert_eq!(bench.view(run, "stitch").pending_deps, 50);
    for n in 0..50 {
        let claimed = bench.take(&format!("s{n:02}"));
        let released = bench.done(&claimed).released;
        assert_eq!(released.is_empty(), n < 49);
    }
    let stitch = bench.take("stitch");
    assert_eq!(stitch.parents.len(), 50);
    assert_eq!(bench.done(&stitch).run_state, RunState::Succeeded);
    bench.sound();
}

pub(crate) fn emitted_tasks_hang_on_the_finishing_one_and_on_each_other(database: &dyn Database) {
    let bench = Bench::new(database);
    let run = bench.submit(vec![task("plan"), task("report").after("plan")]);
    let plan = bench.take("plan");
    let mut finish = Finish::new(plan.task, plan.token, null());
    finish.emitted = vec![
        task("s0").after("plan"),
        task("s1").after("s0").after("plan"),
        task("stitch").after("s0").after("s1").after("s1"),
        task("report"),
    ];
    let finished = bench.store.succeed(finish).unwrap();
    let created: Vec<_> = finished.emitted.iter().map(|e| e.created).collect();
    assert_eq!(created, [true, true, true, false]);
    assert_eq!(finished.emitted[3].task, bench.view(run, "report").id);
    assert_eq!(finished.released.len(), 2, "report and s0");
    assert_eq!(bench.view(run, "s1").pending_deps, 1, "plan is over already");
    assert_eq!(bench.view(run, "stitch").pending_deps, 2, "an edge named twice is one edge");
    for name in ["report", "s0", "s1", "stitch"] {
        bench.done(&bench.take(name));
    }
    assert_eq!(bench.run(run).state, RunState::Succeeded);
    bench.sound();
}

pub(crate) fn a_finish_that_cannot_be_whole_changes_nothing(database: &dyn Database) {
    let bench = Bench::new(database);
    let run = bench.submit(vec![task("plan")]);
    let plan = bench.take("plan");
    let before = bench.kinds(run);
    let mut finish = Finish::new(plan.task, plan.token, json!(1));
    finish.artifacts = vec![file("clip", 1)];
    finish.emitted = vec![task("s0"), task("s1").after("nobody")];
    let refused = bench.store.succeed(finish.clone()).unwrap_err();
    assert_eq!(refused.code(), "queue_unknown_parent");
    assert_eq!(bench.state(run, "plan"), TaskState::Running);
    assert_eq!(bench.store.tasks(run).unwrap().len(), 1);
    assert_eq!(bench.kinds(run), before);
    assert!(bench.store.artifact_refs(None, 10).unwrap().is_empty());
    finish.emitted.pop();
    bench.store.succeed(finish).unwrap();
    bench.sound();
}

pub(crate) fn a_failure_skips_what_waits_for_it_all_the_way_down(database: &dyn Database) {
    let bench = Bench::new(database);
    let mut cleanup = task("cleanup").after("c").after("a");
    cleanup.on_dep_failure = OnDepFailure::Run;
    let run = bench.submit(vec![task("a"), task("b").after("a"), task("c").after("b"), task("free"), cleanup]);
    let a = bench.take("a");
    let failed = bench.fail(&a, Retry::Never);
    assert_eq!((failed.state, failed.run_state), (TaskState::Failed, RunState::Active));
    assert_eq!((failed.skipped.len(), failed.released.len()), (2, 1));
    assert_eq!(bench.state(run, "c"), TaskState::Skipped);
    assert_eq!(bench.view(run, "b").error.as_deref(), Some("skipped, because a failed"));
    bench.done(&bench.take("free"));
    let cleanup = bench.take("cleanup");
    assert_eq!(cleanup.parents[0].state, TaskState::Failed);
    assert_eq!(bench.done(&cleanup).run_state, RunState::Failed);
    assert_eq!(bench.run(run).error.as_deref(), Some("a: no frame for 60 s"));
    bench.sound();
}

pub(crate) fn an_emitted_child_of_a_failed_task_is_skipped_at_once(database: &dyn Database) {
    let bench = Bench::new(database);
    let run = bench.submit(vec![task("a"), task("b")]);
    let a = bench.take("a");
    bench.fail(&a, Retry::Never);
    let b = bench.take("b");
    let mut finish = Finish::new(b.task, b.token, null());
    finish.emitted = vec![task("c").after("a"), task("d").after("c")];
    assert_eq!(bench.store.succeed(finish).unwrap().run_state, RunState::Failed);
    assert_eq!(bench.state(run, "d"), TaskState::Skipped);
    bench.sound();
}

pub(crate) fn a_retried_run_does_again_what_was_not_done(database: &dyn Database) {
    let bench = Bench::new(database);
    let run = bench.submit(vec![task("a"), task("b").after("a"), task("c").after("b")]);
    bench.done(&bench.take("a"));
    for _ in 0..3 {
        let b = bench.take("b");
        bench.fail(&b, LATER);
        bench.pass(10);
    }
    assert_eq!(bench.run(run).state, RunState::Failed);
    assert_eq!(bench.view(run, "b").failures, 3);

    let revived = bench.store.retry_run(run).unwrap();
    assert_eq!((revived.tasks.len(), revived.run_state), (2, RunState::Active));
    assert_eq!(bench.state(run, "a"), TaskState::Succeeded);
    assert_eq!((bench.view(run, "b").failures, bench.view(run, "c").pending_deps), (0, 1));
    bench.sound();
    assert_eq!(bench.take("b").attempt, 1);
    let b = bench.view(run, "b");
    bench.store.succeed(Finish::new(b.id, b.token, null())).unwrap();
    bench.done(&bench.take("c"));
    let view = bench.run(run);
    assert_eq!((view.state, view.error), (RunState::Succeeded, None));
    assert!(bench.store.retry_run(run).unwrap().tasks.is_empty());
    bench.sound();
}

pub(crate) fn cancelling_stops_what_waits_and_asks_what_runs(database: &dyn Database) {
    let bench = Bench::new(database);
    let run = bench.submit(vec![task("a"), task("b"), task("c").after("a")]);
    let a = bench.take("a");
    let cancelled = bench.store.cancel_run(run).unwrap();
    assert_eq!(cancelled.run_state, RunState::Active);
    assert_eq!((cancelled.stopped.len(), cancelled.stopping), (2, vec![a.task]));
    assert_eq!(bench.store.retry_run(run).unwrap_err().code(), "queue_still_stopping");
    let beat = Beat { task: a.task, token: a.token, progress: None };
    assert_eq!(bench.store.heartbeat(bench.worker, vec![beat]).unwrap(), [BeatAnswer::Cancel]);

    let mut late = Finish::new(a.task, a.token, null());
    late.emitted = vec![task("d")];
    let finished = bench.store.succeed(late).unwrap();
    assert_eq!((finished.state, finished.run_state), (TaskState::Cancelled, RunState::Cancelled));
    assert_eq!(bench.store.tasks(run).unwrap().len(), 3);
    let nothing = bench.store.cancel_run(run).unwrap();
    assert_eq!((nothing.run_state, nothing.stopped.len()), (RunState::Cancelled, 0));
    bench.sound();

    assert_eq!(bench.store.retry_run(run).unwrap().tasks.len(), 3);
    for name in ["a", "b", "c"] {
        bench.done(&bench.take(name));
    }
    assert_eq!(bench.run(run).state, RunState::Succeeded);
    bench.sound();
}

pub(crate) fn a_cancelled_task_may_also_fail_or_be_released(database: &dyn Database) {
    let bench = Bench::new(database);
    let run = bench.submit(vec![task("a"), task("b")]);
    let (a, b) = (bench.take("a"), bench.take("b"));
    bench.store.cancel_run(run).unwrap();
    assert_eq!(bench.fail(&a, LATER).state, TaskState::Cancelled);
    assert!(bench.store.ended(&[run]).unwrap().is_empty());
    assert_eq!(bench.store.release(b.task, b.token).unwrap(), TaskState::Cancelled);
    assert_eq!(bench.store.ended(&[run, RunId(99)]).unwrap(), [run, RunId(99)]);
    assert_eq!(bench.state(run, "b"), TaskState::Cancelled);
    let kinds = bench.kinds(run);
    assert_eq!(kinds.iter().filter(|kind| **kind == EventKind::RunCancelled).count(), 1, "{kinds:?}");
    assert_eq!(bench.run(run).state, RunState::Cancelled);
    bench.sound();
}
