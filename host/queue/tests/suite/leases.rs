//! Fences, heartbeats, retries, and workers that vanish.

use super::*;

pub(crate) fn a_stale_answer_changes_nothing(database: &dyn Database) {
    let mut bench = Bench::new(database);
    let run = bench.submit(vec![task("a")]);
    let old = bench.take("a");
    let old_worker = bench.worker;
    bench.restart();
    let new = bench.take("a");
    assert!(new.token > old.token);
    let before = bench.kinds(run);

    match bench.store.succeed(Finish::new(old.task, old.token, null())) {
        Err(QueueError::Stale { task, given, current, state }) => {
            assert_eq!((task, given, current), (old.task, old.token, new.token));
            assert_eq!(state, TaskState::Running);
        }
        other => panic!("expected Stale, got {other:?}"),
    }
    assert!(bench.store.fail(failure(&old, LATER)).unwrap_err().is_stale());
    assert!(bench.store.release(old.task, old.token).unwrap_err().is_stale());
    let beat = |token| vec![Beat { task: old.task, token, progress: None }];
    assert_eq!(bench.store.heartbeat(bench.worker, beat(old.token)).unwrap(), [BeatAnswer::Lost]);
    let gone = bench.store.heartbeat(old_worker, beat(old.token)).unwrap_err();
    assert_eq!(gone.code(), "queue_unknown_worker");
    assert_eq!(bench.kinds(run), before);

    bench.done(&new);
    assert!(bench.store.succeed(Finish::new(new.task, new.token, null())).unwrap_err().is_stale());
    bench.sound();
}

pub(crate) fn a_dead_host_costs_no_attempt(database: &dyn Database) {
    let mut bench = Bench::new(database);
    let run = bench.submit(vec![task("a"), task("b")]);
    let a = bench.take("a");
    assert_eq!(bench.restart(), Recovered { requeued: vec![a.task], ..Default::default() });
    let view = bench.view(run, "a");
    assert_eq!((view.state, view.failures, view.lost), (TaskState::Ready, 0, 1));
    let again = bench.take("a");
    assert_eq!((again.attempt, again.lost), (1, 1));
    let attempts = bench.store.task(a.task).unwrap().attempts;
    assert_eq!(attempts[0].outcome, Some(AttemptOutcome::Lost));
    assert_eq!(attempts[1].outcome, None);
    assert_eq!(bench.store.recover(bench.worker).unwrap(), Recovered::default());
    bench.sound();
}

pub(crate) fn a_task_that_loses_three_workers_is_poison(database: &dyn Database) {
    let mut bench = Bench::new(database);
    let run = bench.submit(vec![task("a"), task("b").after("a")]);
    for round in 1..=3 {
        let a = bench.take("a");
        let recovered = bench.restart();
        assert_eq!(recovered.poisoned.contains(&a.task), round == 3);
    }
    assert_eq!(bench.state(run, "b"), TaskState::Skipped);
    let view = bench.view(run, "a");
    assert_eq!((view.state, view.lost, view.failures), (TaskState::Failed, 3, 0));
    assert!(view.error.unwrap().contains("3 worker processes vanished"));
    assert_eq!(bench.run(run).state, RunState::Failed);
    bench.sound();
}

pub(crate) fn a_task_of_a_cancelled_run_is_not_started_again(database: &dyn Database) {
    let mut bench = Bench::new(database);
    let run = bench.submit(vec![task("a")]);
    let a = bench.take("a");
    bench.store.cancel_run(run).unwrap();
    assert_eq!(bench.restart().cancelled, [a.task]);
    assert_eq!(bench.run(run).state, RunState::Cancelled);
    bench.sound();
}

pub(crate) fn heartbeats_keep_a_lease_and_silence_ends_it(database: &dyn Database) {
    let bench = Bench::new(database);
    let run = bench.submit(vec![task("a"), task("b")]);
    let (a, b) = (bench.take("a"), bench.take("b"));
    bench.pass(25);
    let beat = Beat { task: a.task, token: a.token, progress: Some(json!({"frame": 7})) };
    assert_eq!(bench.store.heartbeat(bench.worker, vec![beat]).unwrap(), [BeatAnswer::Continue]);
    bench.pass(10);
    assert_eq!(bench.store.expire_leases().unwrap().requeued, [b.task]);
    assert_eq!(bench.view(run, "a").progress, Some(json!({"frame": 7})));
    assert_eq!(bench.state(run, "a"), TaskState::Running);
    bench.done(&a);
    assert_eq!(bench.take("b").lost, 0, "that a host could not renew is not the task's fault");
    bench.sound();
}

pub(crate) fn only_workers_that_died_make_a_task_poison(database: &dyn Database) {
    let mut bench = Bench::new(database);
    let run = bench.submit(vec![task("a")]);
    for _ in 0..5 {
        let a = bench.take("a");
        bench.pass(31);
        assert_eq!(bench.store.expire_leases().unwrap(), Recovered { requeued: vec![a.task], ..Default::default() });
    }
    assert_eq!((bench.state(run, "a"), bench.view(run, "a").lost), (TaskState::Ready, 0));
    bench.take("a");
    bench.restart();
    assert_eq!(bench.view(run, "a").lost, 1);
    bench.sound();
}

/// What waits for its place does nothing, and what a worker left behind that took its leave was not what ended it.
pub(crate) fn who_could_not_have_killed_a_worker_loses_nothing(database: &dyn Database) {
    let mut bench = Bench::new(database);
    let run = bench.submit(vec![task("a"), task("b")]);
    let lost = |bench: &Bench<'_>| (bench.view(run, "a").lost, bench.view(run, "b").lost);
    let a = bench.take("a");
    let b = bench.store.claim(ClaimRequest { ahead: true, ..ClaimRequest::new(bench.worker, ["gpu"]) });
    let b = b.unwrap().unwrap();
    bench.restart();
    assert_eq!(lost(&bench), (1, 1), "it was being prepared");
    bench.take("a");
    let b = Claimed { token: bench.take("b").token, ..b };
    bench.store.await_work(b.task, b.token).unwrap();
    bench.restart();
    assert_eq!(lost(&bench), (2, 1));
    assert!(bench.store.await_work(b.task, b.token).unwrap_err().is_stale());
    bench.take("a");
    let b = Claimed { token: bench.take("b").token, ..b };
    bench.store.await_work(b.task, b.token).unwrap();
    bench.store.begin_work(b.task, b.token).unwrap();
    bench.store.retire(bench.worker).unwrap();
    assert_eq!(bench.restart().requeued, [a.task, b.task]);
    assert_eq!(lost(&bench), (2, 1), "their worker was told to end at once");
    let told = bench.store.events(run, Seq(0), 100).unwrap();
    let told = told.iter().rev().find(|event| event.kind == EventKind::TaskLost).unwrap();
    assert_eq!(told.data, json!({"lost": 1, "why": "its worker was told to end at once"}));
    bench.sound();
}

pub(crate) fn a_failed_attempt_is_made_again_when_its_time_has_come(database: &dyn Database) {
    let bench = Bench::new(database);
    let run = bench.submit(vec![task("a")]);
    for attempt in 1..=3 {
        let a = bench.take("a");
        assert_eq!(a.attempt, attempt);
        let failed = bench.fail(&a, LATER);
        if attempt == 3 {
            assert_eq!((failed.state, failed.retry_at), (TaskState::Failed, None));
            assert_eq!(failed.run_state, RunState::Failed);
            break;
        }
        assert_eq!(failed.retry_at, bench.store.next_wakeup().unwrap());
        assert_eq!(failed.retry_at, Some(bench.clock.now().after(Duration::from_secs(10))));
        bench.pass(9);
        assert!(bench.claim().is_none());
        bench.pass(1);
    }
    assert_eq!(bench.store.next_wakeup().unwrap(), None);
    assert_eq!(bench.view(run, "a").failures, 3);
    bench.sound();
}

pub(crate) fn a_changed_task_goes_on_in_another_pool_until_somebody_sets_it_going_again(database: &dyn Database) {
    let mut bench = Bench::new(database);
    let run = bench.submit(vec![NewTask { affinity: Some("wan".into()), ..task("a") }]);
    let a = bench.take("a");
    assert_eq!((&*a.pool, &a.carry), ("gpu", &None));
    bench.fail(&a, LATER);
    bench.pass(10);
    let a = bench.take("a");
    let to = |pool: Option<&str>, n| Change {
        pool: pool.map(str::to_owned),
        affinity: pool.map(|_| "flow".to_owned()),
        carry: json!({ "rungs": n }),
    };
    let failed = bench.fail(&a, Retry::Changed(Duration::ZERO, to(Some("cpu"), 1)));
    assert_eq!(failed.state, TaskState::Scheduled);
    bench.restart();
    let a = bench.take("a");
    assert_eq!((&*a.pool, a.affinity.as_deref(), a.attempt), ("cpu", Some("flow"), 1), "with all its attempts");
    assert_eq!(a.carry, Some(json!({"rungs": 1})));
    bench.sound();
    bench.fail(&a, Retry::Changed(Duration::ZERO, to(None, 2)));
    let a = bench.take("a");
    assert_eq!((&*a.pool, &a.carry), ("cpu", &Some(json!({"rungs": 2}))));
    bench.fail(&a, Retry::Never);
    bench.store.retry_task(a.task).unwrap();
    let a = bench.take("a");
    assert_eq!((&*a.pool, a.affinity.as_deref(), a.carry.as_ref()), ("gpu", Some("wan"), None), "as it began");
    let events = bench.store.events(run, Seq(0), 100).unwrap();
    let changed = events.iter().find(|event| event.data.get("change").is_some()).unwrap();
    assert_eq!(changed.kind, EventKind::TaskRetrying);
    assert_eq!(changed.data["change"], json!({"pool": "cpu", "carry": {"rungs": 1}}));
    bench.sound();
}

pub(crate) fn what_holds_a_task_up_costs_no_attempt_and_is_explained(database: &dyn Database) {
    let bench = Bench::new(database);
    let run = bench.submit(vec![task("a")]);
    bench.fail(&bench.take("a"), LATER);
    bench.pass(10);
    for _ in 0..5 {
        let a = bench.take("a");
        assert_eq!(a.attempt, 2);
        let failed = bench.fail(&a, Retry::Held(Duration::from_secs(40)));
        assert_eq!((failed.state, failed.retry_at), (TaskState::Scheduled, bench.store.next_wakeup().unwrap()));
        let why = bench.store.explain(a.task).unwrap().to_string();
        assert!(why.ends_with("scheduled: a retry is due in 40s, because no frame for 60 s"), "{why}");
        bench.pass(40);
    }
    assert_eq!(bench.view(run, "a").failures, 1);
    assert_eq!(bench.kinds(run).iter().filter(|kind| **kind == EventKind::TaskHeld).count(), 5);
    bench.sound();
}

pub(crate) fn a_released_task_is_as_if_it_had_not_been_taken(database: &dyn Database) {
    let bench = Bench::new(database);
    let run = bench.submit(vec![task("a"), task("b")]);
    let a = bench.take("a");
    assert_eq!(bench.store.release(a.task, a.token).unwrap(), TaskState::Ready);
    let view = bench.view(run, "a");
    assert_eq!((view.state, view.failures, view.lost), (TaskState::Ready, 0, 0));
    let again = bench.take("a");
    assert_eq!(again.attempt, 1);
    assert!(again.token > a.token);
    bench.sound();
}

pub(crate) fn an_incarnation_registers_once(database: &dyn Database) {
    let bench = Bench::new(database);
    let worker = NewWorker { incarnation: Incarnation::named("w"), host: "h".into(), capacity: Capacity::default() };
    bench.store.register_worker(worker.clone()).unwrap();
    let again = bench.store.register_worker(worker).unwrap_err();
    assert_eq!(again.code(), "queue_incarnation_used");
}
