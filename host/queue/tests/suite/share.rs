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
        let hold = |max_running, paused| {
            let lane = LaneSettings { pool: "gpu".into(), tenant: "held".into(), max_running, paused };
            bench.store.set_lane(lane).unwrap();
        };
        match limit {
            LaneHold::Paused => hold(None, true),
            LaneHold::Limited => hold(Some(0), false),
        }
        submit_for(&bench, "held", 200);
        submit_for(&bench, "busy", 400);
        serve(&bench, 60);
        submit_for(&bench, "late", 200);
        let served = serve(&bench, 40);
        assert!(served["late"].abs_diff(20) <= 1, "{served:?}");
        hold(None, false);
        let served = serve(&bench, 60);
        assert!(served["held"].abs_diff(20) <= 1, "{served:?}");
        bench.sound();
    }
}

/// Why a tenant is not served.
enum LaneHold {
    Paused,
    Limited,
}

pub(crate) fn a_lane_can_be_limited_and_paused(database: &dyn Database) {
    let bench = Bench::new(database);
    let lane = |max_running, paused| LaneSettings { pool: "gpu".into(), tenant: "studio".into(), max_running, paused };
    bench.store.set_lane(lane(Some(1), false)).unwrap();
    bench.submit(vec![task("a"), task("b")]);
    let a = bench.take("a");
    assert!(bench.claim().is_none());
    bench.done(&a);
    bench.store.set_lane(lane(None, true)).unwrap();
    assert!(bench.claim().is_none());
    bench.store.set_lane(lane(None, false)).unwrap();
    bench.take("b");
    let lanes = bench.store.lanes().unwrap();
    assert_eq!((lanes[0].ready, lanes[0].running, lanes[0].max_running), (0, 1, None));
    assert_eq!(bench.store.set_weight("studio", 0).unwrap_err().code(), "queue_invalid");
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
