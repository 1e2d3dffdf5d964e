//! Which task may start where: places, what they hold, and which pool is asked for next.
//!
//! A *place* is a device, or a number of CPU slots. It serves one or more pools, each with the memory that its tasks
//! need. All of it is arithmetic on numbers that are handed in: the host acts on it, and a simulation on a virtual clock
//! runs the same code.
//!
//! * **Prefetch.** A place claims up to [`Place::ahead`] tasks more than it can run, so that what can be prepared without
//!   the device (guide and mask clips) is prepared while the device is busy.
//! * **Affinity.** A place asks for tasks that suit what it has loaded, as often in a row as loading is dear: what it costs is
//!   measured. With models that are loaded at once, tasks take turns; with slow ones a place stays with what it has for so
//!   long that loading takes [`LOAD_SHARE`] of its time, and [`MAX_STREAK`] tasks at most.
//! * **Room for large tasks.** Pools that fit are asked for first. One that does not fit and whose next task has waited
//!   for [`RESERVE_AFTER`] goes before all others; once it is claimed nothing else starts there until it fits.

use crate::control::DeviceTime;
use crate::limits::{LOAD_SHARE, MAX_STREAK, MIN_STREAK, RESERVE_AFTER, USUAL_STREAK};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use travel_generators::Device;
use travel_queue::{Capacity, TaskId};

/// A device, or some CPU slots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Unique on this host, such as `cpu` or `gpu0`.
    pub name: String,
    /// Tasks that run at once.
    pub slots: u32,
    /// Tasks that are claimed beyond those, to be prepared meanwhile.
    pub ahead: u32,
    /// Memory that tasks share, MiB; 0 where nobody counts it.
    pub memory_mb: u64,
    /// Pools that it serves, and the memory that a task of each needs, MiB.
    pub pools: BTreeMap<String, u64>,
    /// The graphics card that it is, as the driver knows it (`CUDA_VISIBLE_DEVICES`).
    pub cuda: Option<String>,
}

impl Place {
    /// So many slots of one pool, and no memory to count.
    pub fn slots_of(pool: &str, slots: u32, ahead: u32) -> Self {
        let pools = BTreeMap::from([(pool.to_owned(), 0)]);
        Self { name: pool.to_owned(), slots, ahead, memory_mb: 0, pools, cuda: None }
    }

    /// The graphics card that a task has here.
    pub(crate) fn device(&self) -> Option<Device> {
        Some(Device { name: self.name.clone(), index: self.cuda.clone()? })
    }

    /// Whether a task of that pool can ever run here.
    fn can_hold(&self, pool: &str) -> bool {
        self.pools.get(pool).is_some_and(|need| *need <= self.memory_mb)
    }
}

/// How far a claimed task has come in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Without the device.
    Prepared,
    /// With it.
    Runs,
    /// Without it again: the clip is counted and stored.
    Leaves,
}

/// A claimed task in its place.
#[derive(Debug, Clone)]
struct Held {
    task: TaskId,
    memory_mb: u64,
    affinity: Option<String>,
    /// Whether its place had something else loaded before.
    fresh: bool,
    stage: Stage,
}

/// A place and what it holds.
#[derive(Debug, Clone)]
struct Filled {
    place: Place,
    held: Vec<Held>,
    loaded: Option<String>,
    streak: u32,
}

/// What a place should ask the queue for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Which place.
    pub place: usize,
    /// Pools, most wanted first.
    pub pools: Vec<String>,
    /// What it has loaded, unless it is time for something else.
    pub affinity: Option<String>,
    /// Whether the task would only be prepared, because all slots are taken.
    pub ahead: bool,
}

/// What a model's tasks cost, s: the mean of the last few.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    load: Option<f64>,
    work: Option<f64>,
}

impl Cost {
    /// `fresh` is whether the place had something else loaded before. Such a task may load more than it says, in the midst of
    /// its work: what it took beyond the others of its model is loading too.
    fn learn(&mut self, time: DeviceTime, fresh: bool) {
        // The weight of the newest: about the last four count.
        let mix = |mean: Option<f64>, new: f64| Some(mean.map_or(new, |mean| mean + (new - mean) * 0.25));
        let (load, work) = (time.load.as_secs_f64(), time.work.as_secs_f64());
        if fresh {
            let beyond = self.work.map_or(0.0, |usual| (work - usual).max(0.0));
            if load + beyond > 0.0 {
                self.load = mix(self.load, load + beyond);
            }
        } else {
            self.work = mix(self.work, work);
        }
    }

    /// How many tasks in a row are worth their model's loading.
    fn streak(self) -> u32 {
        match (self.load, self.work) {
            (Some(load), Some(work)) => {
                let tasks = (load / (LOAD_SHARE * work.max(f64::MIN_POSITIVE))).ceil();
                tasks.clamp(f64::from(MIN_STREAK), f64::from(MAX_STREAK)) as u32
            }
            _ => USUAL_STREAK,
        }
    }
}

/// All places of a host.
#[derive(Debug, Clone)]
pub struct Slots {
    places: Vec<Filled>,
    /// By what tasks say that a device has loaded after them.
    costs: BTreeMap<String, Cost>,
}

impl Slots {
    /// Empty places.
    pub fn new(places: Vec<Place>) -> Self {
        let empty = |place| Filled { place, held: Vec::new(), loaded: None, streak: 0 };
        Self { places: places.into_iter().map(empty).collect(), costs: BTreeMap::new() }
    }

    /// What the host tells the queue that it offers.
    pub fn capacity(&self) -> Capacity {
        let mut capacity = Capacity::default();
        let mut open = BTreeSet::new();
        for filled in &self.places {
            for pool in filled.place.pools.keys().filter(|pool| filled.place.can_hold(pool)) {
                let places = capacity.pools.entry(pool.clone()).or_default();
                *places = places.saturating_add(filled.place.slots);
                match filled.kept_for() {
                    Some(task) => drop(capacity.kept.insert(pool.clone(), task)),
                    None => drop(open.insert(pool)),
                }
            }
        }
        capacity.kept.retain(|pool, _| !open.contains(pool));
        capacity
    }

    /// Pools of which a place serves more than one: only for these does it matter who has waited for how long.
    pub fn contested(&self) -> Vec<String> {
        let several = self.places.iter().filter(|filled| filled.place.pools.len() > 1);
        let mut pools: Vec<String> = several.flat_map(|filled| filled.place.pools.keys().cloned()).collect();
        pools.sort();
        pools.dedup();
        pools
    }

    /// What places with room should ask for. Those that can run a task at once come first, so that none is prepared behind a
    /// busy device while another stands idle; then those with something loaded: a task that suits one of them is not to be
    /// taken by a place that would have to load for it. `waiting` is how long the next task of a pool has waited.
    pub fn wishes(&self, waiting: &BTreeMap<String, Duration>) -> Vec<Wish> {
        let mut wishes: Vec<Wish> =
            self.places.iter().enumerate().filter_map(|(i, filled)| filled.wish(i, waiting, &self.costs)).collect();
        wishes.sort_by_key(|wish| (wish.ahead, wish.affinity.is_none()));
        wishes
    }

    /// Whether any place would claim a task.
    pub fn has_room(&self) -> bool {
        !self.wishes(&BTreeMap::new()).is_empty()
    }

    /// Takes a claimed task in. True when it may run at once; else [`Slots::start_next`] will name it.
    pub fn take(&mut self, place: usize, task: TaskId, pool: &str, affinity: Option<&str>) -> bool {
        let Some(filled) = self.places.get_mut(place) else { return false };
        match affinity {
            Some(affinity) if filled.loaded.as_deref() == Some(affinity) => {
                filled.streak = filled.streak.saturating_add(1)
            }
            Some(affinity) => (filled.loaded, filled.streak) = (Some(affinity.to_owned()), 1),
            None => {}
        }
        let fresh = affinity.is_some() && filled.streak == 1;
        let memory_mb = filled.place.pools.get(pool).copied().unwrap_or(0);
        let runs = filled.count(Stage::Prepared) == 0 && filled.fits(memory_mb);
        let stage = if runs { Stage::Runs } else { Stage::Prepared };
        filled.held.push(Held { task, memory_mb, affinity: affinity.map(str::to_owned), fresh, stage });
        runs
    }

    /// A task that still works, but no longer needs its place; how it spent its time there, from which is learnt.
    pub fn leave(&mut self, task: TaskId, time: DeviceTime) {
        for held in self.places.iter_mut().flat_map(|filled| &mut filled.held).filter(|held| held.task == task) {
            held.stage = Stage::Leaves;
            if let Some(affinity) = &held.affinity {
                self.costs.entry(affinity.clone()).or_default().learn(time, held.fresh);
            }
        }
    }

    /// Removes a task that has ended, whether it ran or was only prepared.
    pub fn end(&mut self, task: TaskId) {
        for filled in &mut self.places {
            filled.held.retain(|held| held.task != task);
        }
    }

    /// The next claimed task, in the order of claims, for which there is room now; it counts as running from here on.
    pub fn start_next(&mut self) -> Option<TaskId> {
        self.places.iter_mut().find_map(|filled| {
            let at = filled.held.iter().position(|held| held.stage == Stage::Prepared)?;
            if !filled.fits(filled.held.get(at)?.memory_mb) {
                return None;
            }
            let held = filled.held.get_mut(at)?;
            held.stage = Stage::Runs;
            Some(held.task)
        })
    }

    /// Claimed tasks that are only prepared: whoever stops may hand them back at once.
    pub fn prepared(&self) -> Vec<TaskId> {
        let held = self.places.iter().flat_map(|filled| &filled.held);
        held.filter(|held| held.stage == Stage::Prepared).map(|held| held.task).collect()
    }

    /// What a place has loaded.
    pub fn loaded(&self, place: usize) -> Option<&str> {
        self.places.get(place)?.loaded.as_deref()
    }
}

impl Filled {
    fn count(&self, stage: Stage) -> usize {
        self.held.iter().filter(|held| held.stage == stage).count()
    }

    fn free_mb(&self) -> u64 {
        let used: u64 = self.held.iter().filter(|held| held.stage == Stage::Runs).map(|held| held.memory_mb).sum();
        self.place.memory_mb.saturating_sub(used)
    }

    /// Memory for the next task, MiB: what is free, and when all slots are taken, what is free once one of them is not; which
    /// one nobody knows, so the smallest counts.
    fn room_mb(&self, busy: bool) -> u64 {
        let running = self.held.iter().filter(|held| held.stage == Stage::Runs).map(|held| held.memory_mb);
        let comes_free = if busy { running.min().unwrap_or(0) } else { 0 };
        self.free_mb().saturating_add(comes_free)
    }

    /// Whether a task of that size may start now.
    fn fits(&self, memory_mb: u64) -> bool {
        self.count(Stage::Runs) < self.place.slots as usize && memory_mb <= self.free_mb()
    }

    fn is_busy(&self) -> bool {
        self.count(Stage::Runs) >= self.place.slots as usize
    }

    /// The claimed task that waits for memory while a slot is free: behind it nothing else is claimed.
    fn kept_for(&self) -> Option<TaskId> {
        let first = self.held.iter().find(|held| held.stage == Stage::Prepared);
        first.filter(|_| !self.is_busy()).map(|held| held.task)
    }

    fn wish(&self, place: usize, waiting: &BTreeMap<String, Duration>, costs: &BTreeMap<String, Cost>) -> Option<Wish> {
        let room = (self.place.slots as usize).saturating_add(self.place.ahead as usize);
        let taken = self.count(Stage::Runs).saturating_add(self.count(Stage::Prepared));
        let busy = self.is_busy();
        if taken >= room || self.kept_for().is_some() {
            return None;
        }
        let waited = |pool: &String| waiting.get(pool).copied().unwrap_or_default();
        let mut pools: Vec<&String> = self.place.pools.keys().filter(|pool| self.place.can_hold(pool)).collect();
        let room = self.room_mb(busy);
        let too_large = |pool: &String| self.place.pools.get(pool).is_some_and(|need| *need > room);
        pools.retain(|pool| !too_large(pool) || waited(pool) >= RESERVE_AFTER);
        // Who is too large and has waited so long comes first, then who has waited longest.
        pools.sort_by_key(|pool| (!too_large(pool), std::cmp::Reverse(waited(pool))));
        let streak = |loaded: &String| costs.get(loaded).copied().unwrap_or_default().streak();
        let affinity = self.loaded.clone().filter(|loaded| self.streak < streak(loaded));
        (!pools.is_empty()).then(|| Wish { place, pools: pools.into_iter().cloned().collect(), affinity, ahead: busy })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpu(slots: u32, ahead: u32, memory_mb: u64, pools: &[(&str, u64)]) -> Place {
        let pools = pools.iter().map(|(pool, need)| ((*pool).to_owned(), *need)).collect();
        Place { name: "gpu0".into(), slots, ahead, memory_mb, pools, cuda: None }
    }

    fn waits(pools: &[(&str, u64)]) -> BTreeMap<String, Duration> {
        pools.iter().map(|(pool, s)| ((*pool).to_owned(), Duration::from_secs(*s))).collect()
    }

    #[test]
    fn a_place_claims_one_task_ahead_and_starts_it_when_the_first_ends() {
        let mut slots = Slots::new(vec![Place::slots_of("gpu", 1, 1)]);
        let none = BTreeMap::new();
        assert!(slots.take(slots.wishes(&none)[0].place, TaskId(1), "gpu", None));
        assert!(!slots.take(0, TaskId(2), "gpu", None), "it is prepared meanwhile");
        assert!(slots.wishes(&none).is_empty());
        assert_eq!(slots.start_next(), None);
        slots.leave(TaskId(1), DeviceTime::default());
        assert_eq!(slots.start_next(), Some(TaskId(2)), "the device is free before the first is stored");
        assert_eq!(slots.start_next(), None);
        slots.end(TaskId(1));
        assert_eq!(slots.wishes(&none).len(), 1);
    }

    #[test]
    fn no_task_is_prepared_behind_a_busy_place_while_another_is_idle() {
        let mut slots = Slots::new(vec![Place::slots_of("gpu", 1, 1), Place::slots_of("gpu", 1, 1)]);
        let none = BTreeMap::new();
        assert!(slots.take(0, TaskId(1), "gpu", Some("wan")));
        assert_eq!(slots.wishes(&none)[0].place, 1, "though the first has the model");
        assert!(slots.take(1, TaskId(2), "gpu", Some("wan")));
        assert!(!slots.take(slots.wishes(&none)[0].place, TaskId(3), "gpu", Some("wan")));
    }

    #[test]
    fn what_is_loaded_is_asked_for_a_few_times_and_then_anything() {
        let mut slots = Slots::new(vec![Place::slots_of("gpu", 1, 0), Place::slots_of("gpu", 1, 0)]);
        let none = BTreeMap::new();
        for n in 0..i64::from(USUAL_STREAK) {
            slots.take(1, TaskId(n), "gpu", Some("wan"));
            slots.end(TaskId(n));
            let wishes = slots.wishes(&none);
            let expected = (n + 1 < i64::from(USUAL_STREAK)).then(|| "wan".to_owned());
            assert_eq!(wishes.iter().find(|w| w.place == 1).unwrap().affinity, expected);
            assert!(expected.is_none() || wishes[0].place == 1, "who has something loaded asks first");
        }
        slots.take(1, TaskId(9), "gpu", Some("ltx"));
        assert_eq!(slots.loaded(1), Some("ltx"));
    }

    #[test]
    fn how_long_a_place_stays_with_a_model_follows_from_what_loading_has_cost() {
        // A first task that says that it loads for `load` s and takes `first` s, and others that take `work` s.
        let streak = |load: u64, first: u64, work: u64| {
            let mut slots = Slots::new(vec![Place::slots_of("gpu", 1, 0)]);
            let mut run = |task: i64, model: &str, load: u64, work: u64| {
                slots.take(0, TaskId(task), "gpu", Some(model));
                let [load, work] = [load, work].map(Duration::from_secs);
                slots.leave(TaskId(task), DeviceTime { load, work });
                slots.end(TaskId(task));
                slots.wishes(&BTreeMap::new())[0].affinity.is_some()
            };
            let mut taken = 0;
            for _ in 0..2 {
                run(1000, "ltx", 0, work);
                taken = 1;
                run(0, "wan", load, first);
                while run(taken, "wan", 0, work) {
                    taken += 1;
                }
            }
            taken + 1
        };
        assert_eq!(streak(0, 100, 100), i64::from(USUAL_STREAK), "nobody has measured it");
        assert_eq!(streak(1, 100, 100), i64::from(MIN_STREAK), "a second of a hundred is no reason");
        assert_eq!(streak(60, 300, 300), 10, "60 of 3,000 s");
        assert_eq!(streak(0, 360, 300), 10, "loaded in the midst of its work");
        assert_eq!(streak(600, 5, 5), i64::from(MAX_STREAK), "others get their turn all the same");
    }

    #[test]
    fn a_large_task_that_has_waited_is_made_room_for() {
        let mut slots = Slots::new(vec![gpu(4, 1, 48_000, &[("gpu-24g", 24_000), ("gpu-48g", 48_000)])]);
        slots.take(0, TaskId(1), "gpu-24g", None);
        let pools = |slots: &Slots, large: u64| {
            let wishes = slots.wishes(&waits(&[("gpu-24g", 5), ("gpu-48g", large)]));
            wishes.first().map(|w| w.pools.clone()).unwrap_or_default()
        };
        assert_eq!(pools(&slots, 10), ["gpu-24g"], "what fits goes on");
        assert_eq!(pools(&slots, 60), ["gpu-48g", "gpu-24g"]);
        assert!(!slots.take(0, TaskId(2), "gpu-48g", None), "it does not fit yet");
        assert!(pools(&slots, 0).is_empty(), "and nothing overtakes it");
        assert_eq!(slots.capacity().kept.get("gpu-24g"), Some(&TaskId(2)), "who asks is told");
        assert_eq!(slots.start_next(), None);
        slots.end(TaskId(1));
        assert_eq!(slots.start_next(), Some(TaskId(2)));
        assert!(slots.wishes(&waits(&[])).is_empty(), "no memory is left");
        assert!(slots.capacity().kept.is_empty(), "for nobody in particular");
    }

    #[test]
    fn a_large_task_is_not_claimed_ahead_where_it_would_not_fit_beside_what_stays() {
        let mut slots = Slots::new(vec![gpu(2, 1, 48_000, &[("gpu-24g", 24_000), ("gpu-48g", 48_000)])]);
        slots.take(0, TaskId(1), "gpu-24g", None);
        slots.take(0, TaskId(2), "gpu-24g", None);
        let pools = |large: u64| slots.wishes(&waits(&[("gpu-24g", 5), ("gpu-48g", large)]))[0].pools.clone();
        assert_eq!(pools(10), ["gpu-24g"]);
        assert_eq!(pools(60), ["gpu-48g", "gpu-24g"], "until it has waited");
    }

    #[test]
    fn a_pool_that_no_device_can_ever_hold_is_not_offered() {
        let slots = Slots::new(vec![gpu(1, 0, 24_000, &[("gpu-24g", 24_000), ("gpu-48g", 48_000)])]);
        assert_eq!(slots.capacity(), Capacity::of([("gpu-24g", 1)]));
        assert_eq!(slots.contested(), ["gpu-24g", "gpu-48g"]);
        assert_eq!(slots.wishes(&waits(&[("gpu-48g", 900)]))[0].pools, ["gpu-24g"]);
    }
}
