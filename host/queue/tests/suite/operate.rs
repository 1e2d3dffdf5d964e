//! What operators do: pausing, cancelling and retrying single tasks, explaining, pruning, repairing.

use super::*;

fn chain(names: &[&str]) -> Vec<NewTask> {
    names
        .iter()
        .enumerate()
        .map(|(i, name)| match i {
            0 => task(name),
            _ => task(name).after(names[i - 1]),
        })
        .collect()
}

pub(crate) fn a_paused_run_holds_back_what_has_not_started(database: &dyn Database) {
    let bench = Bench::new(database);
    let run = bench.submit(vec![task("a"), task("b"), task("c").after("a"), task("later")]);
    let a = bench.take("a");
    let b = bench.take("b");
    bench.fail(&b, LATER);
    let paused = bench.store.pause_run(run).unwrap();
    assert_eq!((paused.changed, paused.tasks.len()), (true, 2), "`later` and the retry of `b`");
    assert!(!bench.store.pause_run(run).unwrap().changed);
    assert!(bench.run(run).paused_at.is_some());
    bench.sound();
    assert!(bench.claim().is_none());
    assert!(bench.done(&a).released.is_empty(), "what runs goes on; what follows it waits");
    assert_eq!(bench.state(run, "c"), TaskState::Paused);
    bench.pass(3600);
    assert!(bench.claim().is_none());
    bench.sound();

    assert_eq!(bench.store.resume_run(run).unwrap().tasks.len(), 3);
    assert!(!bench.store.resume_run(run).unwrap().changed);
    for _ in 0..3 {
        let claimed = bench.claim().unwrap();
        bench.done(&claimed);
    }
    assert_eq!(bench.run(run).state, RunState::Succeeded);
    bench.sound();
}

pub(crate) fn a_retry_that_was_paused_still_waits_for_its_time(database: &dyn Database) {
    let bench = Bench::new(database);
    let run = bench.submit(vec![task("a")]);
    let a = bench.take("a");
    bench.store.pause_run(run).unwrap();
    assert_eq!(bench.fail(&a, LATER).state, TaskState::Paused);
    bench.store.resume_run(run).unwrap();
    assert_eq!(bench.state(run, "a"), TaskState::Scheduled);
    assert!(bench.claim().is_none());
    bench.pass(10);
    bench.take("a");
    bench.sound();
}

pub(crate) fn a_paused_pool_is_closed_to_everybody(database: &dyn Database) {
    let bench = Bench::new(database);
    bench.submit(vec![task("a"), NewTask { pool: "cpu".into(), ..task("b") }]);
    bench.store.set_pool_paused("gpu", true).unwrap();
    assert_eq!(bench.store.paused_pools().unwrap(), ["gpu"]);
    bench.take("b");
    assert!(bench.claim().is_none());
    bench.store.set_pool_paused("gpu", false).unwrap();
    assert!(bench.store.paused_pools().unwrap().is_empty());
    bench.take("a");
    bench.sound();
}

pub(crate) fn a_cancelled_task_takes_along_what_needs_it_and_nothing_else(database: &dyn Database) {
    let bench = Bench::new(database);
    let mut tasks = chain(&["a", "b", "c"]);
    tasks.push(task("free"));
    tasks.push(NewTask { on_dep_failure: OnDepFailure::Run, ..task("cleanup").after("b") });
    let run = bench.submit(tasks);
    let b = bench.view(run, "b").id;
    let cancelled = bench.store.cancel_task(b).unwrap();
    assert_eq!((cancelled.stopped, cancelled.skipped.len()), (vec![b], 1));
    assert_eq!(bench.view(run, "c").error.as_deref(), Some("skipped, because b was cancelled"));
    assert!(bench.store.cancel_task(b).unwrap().stopped.is_empty(), "twice is once");
    for _ in 0..3 {
        let claimed = bench.claim().unwrap();
        assert_ne!(claimed.name, "c");
        bench.done(&claimed);
    }
    assert_eq!(bench.run(run).state, RunState::Cancelled);
    bench.sound();
}

pub(crate) fn a_running_task_that_is_cancelled_is_asked_to_stop(database: &dyn Database) {
    let bench = Bench::new(database);
    let run = bench.submit(chain(&["a", "b"]));
    let a = bench.take("a");
    assert!(bench.store.stopping(bench.worker).unwrap().is_empty());
    assert_eq!(bench.store.cancel_task(a.task).unwrap().stopping, [a.task]);
    assert_eq!(bench.store.cancel_task(a.task).unwrap().stopping, [a.task], "as often as one likes");
    assert_eq!(bench.kinds(run), [EventKind::RunSubmitted, EventKind::TaskStarted, EventKind::TaskCancelling]);
    assert_eq!(bench.store.stopping(bench.worker).unwrap(), [a.task]);
    let finished = bench.store.succeed(Finish::new(a.task, a.token, null())).unwrap();
    assert_eq!((finished.state, finished.run_state), (TaskState::Cancelled, RunState::Cancelled));
    assert_eq!(bench.state(run, "b"), TaskState::Skipped);
    bench.sound();
}

pub(crate) fn a_retried_task_revives_what_was_skipped_for_it(database: &dyn Database) {
    let bench = Bench::new(database);
    let mut tasks = chain(&["a", "b", "c"]);
    tasks.extend([task("other"), task("both").after("b").after("other"), task("after").after("both")]);
    let run = bench.submit(tasks);
    for name in ["a", "other"] {
        let claimed = bench.take(name);
        bench.fail(&claimed, Retry::Never);
    }
    let id = |name: &str| bench.view(run, name).id;
    let needs_parent = bench.store.retry_task(id("c")).unwrap_err();
    assert_eq!(needs_parent.code(), "queue_parent_first");
    assert!(needs_parent.to_string().contains(&format!("task {}", id("b"))), "{needs_parent}");

    let revived = bench.store.retry_task(id("a")).unwrap();
    assert_eq!(revived.tasks, [id("a"), id("b"), id("c")], "`both` also needs `other`");
    let view = bench.run(run);
    assert_eq!((view.state, view.failed_tasks, view.open_tasks), (RunState::Active, 1, 3));
    assert_eq!(view.error.as_deref(), Some("other: no frame for 60 s"));
    bench.sound();
    for name in ["a", "b", "c"] {
        bench.done(&bench.take(name));
    }
    assert_eq!(bench.run(run).state, RunState::Failed);
    assert_eq!(bench.store.retry_task(id("a")).unwrap_err().code(), "queue_not_over");
    assert_eq!(bench.store.retry_task(id("other")).unwrap().tasks, [id("other"), id("both"), id("after")]);
    for name in ["other", "both", "after"] {
        bench.done(&bench.take(name));
    }
    let view = bench.run(run);
    assert_eq!((view.state, view.error), (RunState::Succeeded, None));
    bench.sound();
}

pub(crate) fn a_run_waits_for_the_start_that_was_asked_for(database: &dyn Database) {
    let bench = Bench::new(database);
    let at = bench.clock.now().after(Duration::from_secs(60));
    let mut run = NewRun::new("studio", "night", null());
    run.start_at = Some(at);
    run.tasks = chain(&["a", "b"]);
    let run = bench.store.submit(run).unwrap().run;
    assert_eq!((bench.state(run, "a"), bench.state(run, "b")), (TaskState::Scheduled, TaskState::Blocked));
    assert!(bench.claim().is_none());
    assert_eq!(bench.store.next_wakeup().unwrap(), Some(at));
    bench.pass(20);
    bench.store.cancel_run(run).unwrap();
    bench.store.retry_run(run).unwrap();
    assert_eq!(bench.state(run, "a"), TaskState::Scheduled, "a retry does not forget the start");
    bench.store.cancel_run(run).unwrap();
    bench.store.retry_task(bench.view(run, "a").id).unwrap();
    assert!(bench.claim().is_none());
    bench.pass(40);
    let says = bench.store.explain(bench.view(run, "a").id).unwrap().to_string();
    assert!(says.contains("0 of 1 places of pool gpu are taken"), "its time has come: {says}");
    let a = bench.take("a");
    bench.fail(&a, Retry::Never);
    bench.store.retry_run(run).unwrap();
    bench.done(&bench.take("a"));
    bench.take("b");
    bench.sound();
}

/// A task that runs whatever becomes of its parents fails, while a parent was set going again: it waits for that one and
/// for its delay.
pub(crate) fn a_delay_is_waited_for_though_a_parent_is_set_going_again(database: &dyn Database) {
    let bench = Bench::new(database);
    let cleanup = NewTask { on_dep_failure: OnDepFailure::Run, ..task("cleanup").after("a") };
    let run = bench.submit(vec![task("a"), cleanup]);
    bench.fail(&bench.take("a"), Retry::Never);
    let cleanup = bench.take("cleanup");
    bench.store.retry_run(run).unwrap();
    assert_eq!(bench.fail(&cleanup, LATER).state, TaskState::Blocked);
    let a = bench.take("a");
    assert!(bench.done(&a).released.is_empty());
    assert_eq!(bench.state(run, "cleanup"), TaskState::Scheduled);
    assert!(bench.claim().is_none());
    assert_eq!(bench.store.next_wakeup().unwrap(), Some(bench.clock.now().after(Duration::from_secs(10))));
    bench.pass(10);
    bench.take("cleanup");
    bench.sound();
}

pub(crate) fn a_deadline_is_handed_out_with_the_claim(database: &dyn Database) {
    let bench = Bench::new(database);
    let run = bench.submit(vec![NewTask { deadline: Some(Duration::from_secs(90)), ..task("a") }]);
    assert_eq!(bench.view(run, "a").deadline, Some(Duration::from_secs(90)));
    assert_eq!(bench.take("a").deadline, Some(Duration::from_secs(90)));
}

/// Every reason, by the sentence that a person reads.
pub(crate) fn every_task_can_say_why_it_is_where_it_is(database: &dyn Database) {
    let bench = Bench::new(database);
    let mut stitch = task("stitch");
    let names: Vec<String> = (0..5).map(|n| format!("s{n}")).collect();
    for name in &names {
        stitch = stitch.after(name);
    }
    let mut tasks: Vec<NewTask> = names.iter().map(|name| task(name)).collect();
    tasks.push(stitch);
    tasks.push(NewTask { pool: "tpu".into(), ..task("odd") });
    let run = bench.submit(tasks);
    let says = |name: &str| {
        let explained = bench.store.explain(bench.view(run, name).id).unwrap();
        explained.to_string().split_once(": ").unwrap().1.to_owned()
    };
    assert_eq!(says("odd"), "no worker offers pool tpu; offered are cpu, gpu");
    assert_eq!(says("s1"), "0 of 1 places of pool gpu are taken, and 1 tasks go before it");
    for name in &names[..3] {
        bench.done(&bench.take(name));
    }
    let s3 = bench.take("s3");
    assert_eq!(says("stitch"), "2 of 5 parents are not over: s3 (running), s4 (ready)");
    assert_eq!(says("s4"), "1 of 1 places of pool gpu are taken, and 0 tasks go before it");
    bench.pass(4);
    let progress = json!({"phase": "generate", "done": 30, "total": 81});
    let beat = Beat { task: s3.task, token: s3.token, progress: Some(progress) };
    bench.store.heartbeat(bench.worker, vec![beat]).unwrap();
    assert!(says("s3").ends_with("has run it for 4s, generate 30 of 81"), "{}", says("s3"));

    let set = |change| {
        bench.store.set_lane(LaneSettings { pool: "gpu".into(), tenant: "studio".into(), change }).unwrap();
    };
    set(LaneChange::MaxRunning(Some(1)));
    assert_eq!(says("s4"), "tenant studio runs 1 tasks of pool gpu, and may run 1");
    set(LaneChange::MaxRunning(None));
    set(LaneChange::Paused(true));
    assert!(says("s4").starts_with("tenant studio is paused in pool gpu"), "{}", says("s4"));
    bench.store.set_pool_paused("gpu", true).unwrap();
    assert!(says("s4").starts_with("pool gpu is paused"), "{}", says("s4"));
    bench.store.set_pool_paused("gpu", false).unwrap();
    set(LaneChange::Paused(false));

    let ahead = ClaimRequest { ahead: true, ..ClaimRequest::new(bench.worker, ["gpu"]) };
    let s4 = bench.store.claim(ahead).unwrap().unwrap();
    let prepared = format!("it is being prepared, and its place is not free yet: worker {} on", bench.worker);
    assert!(says("s4").starts_with(&prepared), "{}", says("s4"));
    bench.store.await_work(s4.task, s4.token).unwrap();
    assert!(says("s4").starts_with("it is prepared, and its place is not free yet"), "{}", says("s4"));
    bench.store.begin_work(s4.task, s4.token).unwrap();
    assert!(says("s4").ends_with("has run it for 0s"), "{}", says("s4"));
    bench.store.release(s4.task, s4.token).unwrap();

    bench.fail(&s3, Retry::After(Duration::from_secs(40)));
    assert_eq!(says("s3"), "attempt 1 of 3 failed, the next is due in 40s; it failed with: no frame for 60 s");
    bench.store.pause_run(run).unwrap();
    bench.pass(7);
    assert_eq!(says("s4"), format!("run {run} was paused 7s ago; `runs resume {run}` lets it go on"));
    bench.store.resume_run(run).unwrap();
    assert!(says("s0").starts_with("it ended 11s ago"), "{}", says("s0"));
    bench.pass(3600);
    assert!(says("s4").starts_with("0 of 1 places"), "a clock that ran away ends no host: {}", says("s4"));
    let both = Capacity::of([("gpu", 1), ("cpu", 1)]);
    let kept = [("gpu".to_owned(), s3.task)].into();
    bench.store.offer(bench.worker, Capacity { kept, ..both.clone() }).unwrap();
    assert!(
        says("s4").starts_with(&format!("every place of pool gpu is kept free for task {}", s3.task)),
        "{}",
        says("s4")
    );
    bench.store.offer(bench.worker, Capacity { draining: true, ..both.clone() }).unwrap();
    assert!(says("s4").starts_with("the host is draining: it ends the 0 tasks that it runs"), "{}", says("s4"));
    bench.store.offer(bench.worker, both).unwrap();
    assert!(says("s4").starts_with("0 of 1 places"), "{}", says("s4"));
    bench.store.retire(bench.worker).unwrap();
    bench.pass(60);
    assert!(
        says("s4").starts_with("no host works on this queue, the last gave a sign of life 1m ago"),
        "{}",
        says("s4")
    );
    assert_eq!(bench.store.retire(bench.worker).unwrap_err().code(), "queue_unknown_worker", "it has left already");
    bench.sound();
}

pub(crate) fn old_runs_are_forgotten_and_live_ones_never(database: &dyn Database) {
    let bench = Bench::new(database);
    let finish = |byte: u8| {
        let run = bench.submit(vec![task("a")]);
        let a = bench.claim().unwrap();
        let artifacts = vec![file("clip", byte), file("shared", 99)];
        bench.store.succeed(Finish { artifacts, ..Finish::new(a.task, a.token, null()) }).unwrap();
        run
    };
    let old: Vec<RunId> = (1..=3).map(finish).collect();
    bench.pass(1000);
    let young = finish(4);
    let open = bench.submit(vec![task("a")]);
    let policy = |keep| PrunePolicy {
        finished_before: TimestampMs(bench.clock.now().0 - 500_000),
        keep,
        states: vec![RunState::Succeeded],
        tenant: None,
    };
    let none = PrunePolicy { states: vec![RunState::Failed], ..policy(0) };
    assert_eq!(bench.store.prune(&none, Trial::Real).unwrap(), Pruned::default());
    assert_eq!(bench.store.prune(&policy(2), Trial::Dry).unwrap().runs, old[..2], "the newest two stay");
    assert_eq!(bench.store.runs(&RunFilter::default(), 10).unwrap().len(), 5, "a trial changes nothing");
    let pruned = bench.store.prune(&policy(0), Trial::Real).unwrap();
    assert_eq!((pruned.runs, pruned.tasks, pruned.artifacts), (old, 3, 3), "the shared file is still used");
    let left: Vec<RunId> = bench.store.runs(&RunFilter::default(), 10).unwrap().iter().map(|r| r.id).collect();
    assert_eq!(left, [open, young]);
    assert_eq!(bench.store.artifact_refs(None, 10).unwrap().len(), 2);
    let next = bench.submit(vec![task("a")]);
    assert!(next > open, "a number is never used again");
    bench.sound();
}

pub(crate) fn what_is_kept_is_counted_for_each_tenant_and_state(database: &dyn Database) {
    let bench = Bench::new(database);
    let end = |tenant: &str, fails: bool| {
        let run = bench.store.submit(NewRun::new(tenant, "film", null()).task(task("a"))).unwrap().run;
        let a = bench.take("a");
        if fails {
            drop(bench.fail(&a, Retry::Never))
        } else {
            drop(bench.done(&a))
        }
        bench.pass(1);
        run
    };
    let (old, failed, young) = (end("alpha", false), end("alpha", true), end("alpha", false));
    let (other, newest) = (end("beta", false), end("beta", false));
    let policy = |keep, states: &[RunState], tenant: Option<&str>| {
        let (states, tenant) = (states.to_vec(), tenant.map(str::to_owned));
        let pruned =
            bench.store.prune(&PrunePolicy { finished_before: bench.clock.now(), keep, states, tenant }, Trial::Dry);
        pruned.unwrap().runs
    };
    assert_eq!(policy(1, &[], None), [old, failed, other], "one of each tenant stays");
    assert_eq!(
        policy(1, &[RunState::Succeeded], None),
        [old, other],
        "the newest that succeeded, whatever failed since"
    );
    assert_eq!(policy(1, &[RunState::Failed], None), [], "the only one that failed");
    assert_eq!(policy(0, &[], Some("beta")), [other, newest]);
    assert_eq!(policy(1, &[], Some("alpha")), [old, failed]);
    assert_eq!(policy(3, &[], None), []);
    assert!(young < other);
}

pub(crate) fn a_clean_up_goes_in_small_steps_and_every_rule_holds_between_them(database: &dyn Database) {
    let bench = Bench::new(database);
    let finish = |events: usize| {
        let run = bench.submit(vec![task("a")]);
        let a = bench.take("a");
        let event = NewEvent { label: "frame".into(), data: null() };
        let events = vec![event; events];
        bench.store.succeed(Finish { events, ..Finish::new(a.task, a.token, null()) }).unwrap();
        run
    };
    let runs = [finish(5000), finish(1900), finish(3)];
    bench.pass(1);
    let policy = PrunePolicy { finished_before: bench.clock.now(), keep: 0, states: Vec::new(), tenant: None };
    let (mut gone, mut steps) = (Pruned::default(), 0);
    loop {
        let pruned = bench.store.prune(&policy, Trial::Real).unwrap();
        bench.sound();
        if !pruned.more {
            break;
        }
        assert!(pruned.events <= limits::PRUNE_ROWS.unsigned_abs(), "{pruned:?}");
        gone.events += pruned.events;
        gone.runs.extend(pruned.runs);
        steps += 1;
    }
    assert_eq!((gone.runs.as_slice(), gone.events), (&runs[..], 5000 + 1900 + 3 + 3 * 4));
    assert!(steps >= 4, "{steps}");
    let long = finish(3000);
    bench.pass(1);
    let policy = PrunePolicy { finished_before: bench.clock.now(), ..policy };
    assert!(bench.store.prune(&policy, Trial::Real).unwrap().runs.is_empty(), "its events went first");
    assert_eq!(bench.store.tasks(long).unwrap_err().code(), "queue_unknown_run", "a run is there whole or not at all");
    assert!(bench.store.runs(&RunFilter::default(), 10).unwrap().is_empty());
    assert_eq!(bench.store.retry_run(long).unwrap_err().code(), "queue_forgotten");
    bench.sound();
    let nothing = PrunePolicy { keep: 100, ..policy };
    let rest = bench.store.prune(&nothing, Trial::Real).unwrap();
    assert_eq!(rest.runs, [long], "what was begun is finished");
    assert_eq!(bench.store.prune(&nothing, Trial::Real).unwrap(), Pruned::default());
    bench.sound();
}

/// A key that a forgotten run had is free from the first step of a clean-up on.
pub(crate) fn a_key_of_a_run_that_is_being_forgotten_is_free(database: &dyn Database) {
    let bench = Bench::new(database);
    let keyed = || NewRun { idem_key: Some("order 7".into()), ..NewRun::new("studio", "film", null()) }.task(task("a"));
    let first = bench.store.submit(keyed()).unwrap().run;
    let a = bench.take("a");
    let event = NewEvent { label: "frame".into(), data: null() };
    bench.store.succeed(Finish { events: vec![event; 3000], ..Finish::new(a.task, a.token, null()) }).unwrap();
    bench.pass(1);
    assert!(!bench.store.submit(keyed()).unwrap().created);
    let policy = PrunePolicy { finished_before: bench.clock.now(), keep: 0, states: Vec::new(), tenant: None };
    assert!(bench.store.prune(&policy, Trial::Real).unwrap().more);
    let again = bench.store.submit(keyed()).unwrap();
    assert!(again.created && again.run > first);
    bench.sound();
}

pub(crate) fn a_sound_queue_has_nothing_to_repair(database: &dyn Database) {
    let bench = Bench::new(database);
    let run = bench.submit(chain(&["a", "b"]));
    bench.done(&bench.take("a"));
    assert!(bench.store.repair(Trial::Real).unwrap().is_empty());
    bench.take("b");
    bench.store.cancel_run(run).unwrap();
    assert!(bench.store.repair(Trial::Real).unwrap().is_empty());
    let stats = bench.store.stats().unwrap();
    assert_eq!((stats.runs, stats.tasks[&TaskState::Running], stats.tasks[&TaskState::Succeeded]), (1, 1, 1));
    bench.sound();
}
