//! Whose turn it is.

use std::collections::BTreeMap;

use super::*;

fn submit_for(bench: &Bench<'_>, tenant: &str, tasks: usize) {
    let mut run = NewRun::new(tenant, tenant, null());
    run.tasks = (0..tasks).map(|n| task(&format!("t{n:03}"))).collect();
    bench.store.submit(run).unwrap();
}

/// Serves `count` tasks, each taking a minute; how many each tenant got.
fn serve(bench: &Bench<'_>, count: usize) -> BTreeMap<String, usize> {
    let mut served = BTreeMap::new();
    for _ in 0..count {
        let claimed = bench.claim().unwrap();
        bench.pass(60);
        bench.done(&claimed);
        *served.entry(claimed.tenant).or_default() += 1;
    }
    served
}

pub(crate) fn within_a_lane_priority_goes_before_age(database: &dyn Database) {
    let bench = Bench::new(database);
    let urgent = NewTask { priority: 1, ..task("urgent") };
    bench.submit(vec![task("old"), task("older")]);
    bench.pass(1);
    bench.submit(vec![urgent]);
    for name in ["urgent", "old", "older"] {
        bench.take(name);
    }
    assert!(bench.claim().is_none());
    bench.sound();
}

pub(crate) fn who_and_what_is_known_can_be_asked(database: &dyn Database) {
    let bench = Bench::new(database);
    assert_eq!((bench.store.tenants().unwrap(), bench.store.pools().unwrap()), (Vec::new(), Vec::new()));
    let run = bench.submit(vec![task("a"), task("b").after("a"), task("c").after("b").after("a")]);
    bench.store.set_weight("later", 50).unwrap();
    bench.store.set_pool_paused("night", true).unwrap();
    assert_eq!(bench.store.tenants().unwrap(), ["later", "studio"]);
    assert_eq!(bench.store.pools().unwrap(), ["gpu", "night"]);
    let id = |name: &str| bench.view(run, name).id;
    let (a, b, c) = (id("a"), id("b"), id("c"));
    assert_eq!(bench.store.edges(run).unwrap(), [(a, b), (a, c), (b, c)]);
    let named = |tenant: &str, name: &str| {
        let (tenant, name) = (Some(tenant.to_owned()), Some(name.to_owned()));
        bench.store.runs(&RunFilter { tenant, name, ..RunFilter::default() }, 10).unwrap().len()
    };
    assert_eq!((named("studio", "alps"), named("later", "alps"), named("studio", "andes")), (1, 0, 0));
}

pub(crate) fn pools_are_served_in_the_order_of_the_wish(database: &dyn Database) {
    let bench = Bench::new(database);
    bench.submit(vec![NewTask { pool: "cpu".into(), ..task("c") }, task("g")]);
    let wish = |pools: &[&str]| ClaimRequest::new(bench.worker, pools.iter().copied());
    assert!(bench.store.claim(wish(&["io"])).unwrap().is_none());
    assert!(bench.store.claim(wish(&[])).unwrap().is_none());
    let name = |pools: &[&str]| bench.store.claim(wish(pools)).unwrap().unwrap().name;
    assert_eq!(name(&["io", "gpu", "cpu"]), "g");
    assert_eq!(name(&["gpu", "cpu"]), "c");
    bench.sound();
}

pub(crate) fn tenants_are_served_by_weight(database: &dyn Database) {
    let bench = Bench::new(database);
    let weights = [("half", 50), ("one", 100), ("uno", 100), ("two", 200), ("four", 400)];
    for (tenant, weight) in weights {
        bench.store.set_weight(tenant, weight).unwrap();
        submit_for(&bench, tenant, 400);
    }
    let served = serve(&bench, 800);
    for (tenant, weight) in weights {
        let (got, ideal) = (served[tenant] as f64, 800.0 * f64::from(weight) / 850.0);
        assert!((got - ideal).abs() <= 1.0, "{tenant} got {got} of {ideal}");
    }
    bench.sound();
}

pub(crate) fn what_tasks_really_took_is_what_counts(database: &dyn Database) {
    let bench = Bench::new(database);
    submit_for(&bench, "slow", 40);
    submit_for(&bench, "fast", 40);
    let mut served: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..40 {
        let claimed = bench.claim().unwrap();
        bench.pass(if claimed.tenant == "slow" { 180 } else { 60 });
        bench.done(&claimed);
        *served.entry(claimed.tenant).or_default() += 1;
    }
    assert!(served["fast"].abs_diff(30) <= 1, "{served:?}");
    bench.sound();
}

pub(crate) fn who_was_away_neither_hoards_nor_pays(database: &dyn Database) {
    let bench = Bench::new(database);
    submit_for(&bench, "busy", 60);
    serve(&bench, 30);
    submit_for(&bench, "late", 20);
    let served = serve(&bench, 20);
    assert!(served["late"].abs_diff(10) <= 1, "{served:?}");
    bench.sound();
}

/// What the tenants have used so far, in seconds at the default weight.
fn used(bench: &Bench<'_>) -> BTreeMap<String, f64> {
    let second = (1000 * limits::VTIME_PER_MS / i64::from(limits::DEFAULT_WEIGHT)) as f64;
    bench.store.lanes().unwrap().into_iter().map(|lane| (lane.tenant, lane.vtime as f64 / second)).collect()
}

pub(crate) fn nobody_pays_for_the_time_when_no_host_was_there(database: &dyn Database) {
    let mut bench = Bench::new(database);
    submit_for(&bench, "unlucky", 3);
    let sign = |bench: &Bench<'_>, held: &Claimed| {
        let beat = Beat { task: held.task, token: held.token, progress: None };
        bench.store.heartbeat(bench.worker, vec![beat]).unwrap();
    };
    let held = bench.claim().unwrap();
    bench.pass(10);
    sign(&bench, &held);
    bench.pass(36_000);
    bench.restart();
    assert!((used(&bench)["unlucky"] - 10.0).abs() < 0.1, "{:?}", used(&bench));
    let held = bench.claim().unwrap();
    bench.pass(20);
    sign(&bench, &held);
    bench.pass(31);
    bench.store.expire_leases().unwrap();
    assert!((used(&bench)["unlucky"] - 30.0).abs() < 0.1, "{:?}", used(&bench));
    bench.sound();
}

pub(crate) fn what_was_only_prepared_is_not_charged(database: &dyn Database) {
    let bench = Bench::new(database);
    submit_for(&bench, "studio", 3);
    let claim = || bench.store.claim(ClaimRequest { ahead: true, ..ClaimRequest::new(bench.worker, ["gpu"]) });
    let held = claim().unwrap().unwrap();
    bench.pass(600);
    bench.store.release(held.task, held.token).unwrap();
    assert!(used(&bench)["studio"] < 0.1, "{:?}", used(&bench));
    let held = claim().unwrap().unwrap();
    bench.pass(600);
    bench.store.begin_work(held.task, held.token).unwrap();
    bench.pass(7);
    bench.done(&held);
    assert!((used(&bench)["studio"] - 7.0).abs() < 0.1, "{:?}", used(&bench));
    bench.sound();
}

pub(crate) fn waiting_for_a_place_is_not_charged(database: &dyn Database) {
    let bench = Bench::new(database);
    submit_for(&bench, "patient", 40);
    submit_for(&bench, "prompt", 40);
    let mut served: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..40 {
        let claimed = bench.claim().unwrap();
        if claimed.tenant == "patient" {
            bench.pass(600);
            bench.store.begin_work(claimed.task, claimed.token).unwrap();
        }
        bench.pass(60);
        bench.done(&claimed);
        let stale = bench.store.begin_work(claimed.task, claimed.token).unwrap_err();
        assert!(stale.is_stale(), "{stale}");
        *served.entry(claimed.tenant).or_default() += 1;
    }
    assert!(served["patient"].abs_diff(20) <= 1, "{served:?}");
    bench.sound();
}

pub(crate) fn who_was_held_neither_saves_up_nor_owes(database: &dyn Database) {
    for limit in [LaneHold::Paused, LaneHold::Limited] {
        let bench = Bench::new(database);
        let (hold, let_go) = match limit {
            LaneHold::Paused => (LaneChange::Paused(true), LaneChange::Paused(false)),
            LaneHold::Limited => (LaneChange::MaxRunning(Some(0)), LaneChange::MaxRunning(None)),
        };
        let set = |change| {
            bench.store.set_lane(LaneSettings { pool: "gpu".into(), tenant: "held".into(), change }).unwrap();
        };
        set(hold);
        submit_for(&bench, "held", 200);
        submit_for(&bench, "busy", 400);
        serve(&bench, 60);
        submit_for(&bench, "late", 200);
        let served = serve(&bench, 40);
        assert!(served["late"].abs_diff(20) <= 1, "{served:?}");
        set(let_go);
        let served = serve(&bench, 60);
        assert!(served["held"].abs_diff(20) <= 1, "{served:?}");
        bench.sound();
    }
}

/// Who was limited while others had more is not given it afterwards, also when nothing of it runs at the moment.
pub(crate) fn a_limit_that_is_lifted_is_not_made_up_for(database: &dyn Database) {
    let bench = Bench::new(database);
    let limit = |max_running| {
        let change = LaneChange::MaxRunning(max_running);
        let lane = LaneSettings { pool: "gpu".into(), tenant: "slowed".into(), change };
        bench.store.set_lane(lane).unwrap();
    };
    limit(Some(1));
    submit_for(&bench, "slowed", 200);
    submit_for(&bench, "busy", 200);
    for _ in 0..20 {
        let held: Vec<Claimed> = (0..3).map(|_| bench.claim().unwrap()).collect();
        assert_eq!(held.iter().filter(|held| held.tenant == "slowed").count(), 1);
        bench.pass(60);
        held.iter().for_each(|held| drop(bench.done(held)));
    }
    limit(Some(2));
    let served = serve(&bench, 40);
    assert!(served["slowed"].abs_diff(20) <= 1, "{served:?}");
    bench.sound();
}

/// Why a tenant is not served.
enum LaneHold {
    Paused,
    Limited,
}

pub(crate) fn a_lane_can_be_limited_and_paused(database: &dyn Database) {
    let bench = Bench::new(database);
    let lane = |change| LaneSettings { pool: "gpu".into(), tenant: "studio".into(), change };
    bench.store.set_lane(lane(LaneChange::MaxRunning(Some(1)))).unwrap();
    bench.submit(vec![task("a"), task("b")]);
    let a = bench.take("a");
    assert!(bench.claim().is_none());
    bench.done(&a);
    bench.store.set_lane(lane(LaneChange::Paused(true))).unwrap();
    assert!(bench.claim().is_none());
    bench.store.set_lane(lane(LaneChange::Paused(false))).unwrap();
    bench.take("b");
    let lanes = bench.store.lanes().unwrap();
    assert_eq!((lanes[0].ready, lanes[0].running, lanes[0].max_running), (0, 1, Some(1)), "a pause keeps the limit");
    assert_eq!(bench.store.set_weight("studio", 0).unwrap_err().code(), "queue_invalid");
    bench.sound();
}

/// What running tasks were charged in advance is no usage, and is not laid upon whoever starts beside them.
pub(crate) fn who_starts_beside_running_tasks_pays_nothing_for_them(database: &dyn Database) {
    let bench = Bench::new(database);
    let submit = |tenant: &str| {
        let run = (0..24).fold(NewRun::new(tenant, "film", json!(null)), |run, n| run.task(task(&format!("s{n}"))));
        bench.store.submit(run).unwrap();
    };
    submit("zed");
    // One runs and one is prepared behind it, as on a host; each is charged a minute, and takes less than a second.
    let mut held = std::collections::VecDeque::from([bench.claim().unwrap(), bench.claim().unwrap()]);
    submit("abe");
    let mut served = Vec::new();
    for _ in 0..24 {
        bench.clock.set(bench.clock.now().after(Duration::from_millis(400)));
        let done = held.pop_front().unwrap();
        bench.done(&done);
        let next = bench.claim().unwrap();
        served.push(next.tenant.clone());
        bench.store.begin_work(next.task, next.token).unwrap();
        held.push_back(next);
    }
    let of_abe = served.iter().filter(|tenant| *tenant == "abe").count();
    assert!((11..=13).contains(&of_abe), "{of_abe} of 24: {served:?}");
    bench.sound();
}

pub(crate) fn a_tenant_has_no_more_open_runs_than_its_quota(database: &dyn Database) {
    let bench = Bench::new(database);
    let submit = |tenant: &str, key: Option<&str>| {
        let mut run = NewRun::new(tenant, "film", json!(null)).task(task("a"));
        run.idem_key = key.map(str::to_owned);
        bench.store.submit(run)
    };
    bench.store.set_max_runs("studio", Some(2)).unwrap();
    let first = submit("studio", Some("once")).unwrap().run;
    submit("studio", None).unwrap();
    let refused = submit("studio", None).unwrap_err();
    assert_eq!((refused.code(), refused.is_retryable()), ("queue_quota", false));
    assert_eq!(bench.store.check_quota("studio").unwrap_err().code(), "queue_quota");
    bench.store.check_quota("nobody yet").unwrap();
    assert_eq!(submit("studio", Some("once")).unwrap().run, first, "what is there already is no new run");
    submit("another", None).unwrap();
    bench.done(&bench.claim().unwrap());
    submit("studio", None).unwrap();
    assert_eq!(submit("studio", None).unwrap_err().code(), "queue_quota");
    // One that is over is no way around it, however it is set going again.
    bench.store.set_max_runs("studio", None).unwrap();
    let over = submit("studio", None).unwrap().run;
    bench.store.cancel_run(over).unwrap();
    bench.store.set_max_runs("studio", Some(2)).unwrap();
    assert_eq!(bench.store.retry_run(over).unwrap_err().code(), "queue_quota");
    let task = bench.store.tasks(over).unwrap()[0].id;
    assert_eq!(bench.store.retry_task(task).unwrap_err().code(), "queue_quota");
    assert_eq!(bench.store.redo(vec![(task, Redo::Anew(json!(1)))]).unwrap_err().code(), "queue_quota");
    assert_eq!(bench.store.task(task).unwrap().input, json!({"name": "a"}), "nothing was changed");
    bench.store.set_max_runs("studio", Some(0)).unwrap();
    while let Some(claimed) = bench.claim() {
        bench.done(&claimed);
    }
    assert_eq!(submit("studio", None).unwrap_err().code(), "queue_quota");
    bench.store.set_max_runs("studio", None).unwrap();
    submit("studio", None).unwrap();
    bench.sound();
}

pub(crate) fn a_loaded_model_goes_first_among_equals(database: &dyn Database) {
    let bench = Bench::new(database);
    let with = |name: &str, model: &str, priority| NewTask { affinity: Some(model.into()), priority, ..task(name) };
    bench.submit(vec![with("a", "wan", 1), with("b", "ltx", 1), with("c", "ltx", 2)]);
    let mut wish = ClaimRequest::new(bench.worker, ["gpu"]);
    wish.affinity = Some("ltx".into());
    let names: Vec<_> = (0..3).map(|_| bench.store.claim(wish.clone()).unwrap().unwrap().name).collect();
    assert_eq!(names, ["b", "a", "c"]);
    bench.sound();
}
