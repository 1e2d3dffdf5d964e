//! A queue in memory, written from the documentation of the trait: what every task's and run's state must be. It does
//! not choose what is claimed, it only knows what may be.

use std::collections::BTreeMap;
use std::time::Duration;

use travel_queue::limits::MAX_LOST;
use travel_queue::{OnDepFailure, Retry, RunId, RunState, TaskId, TaskState, TimestampMs};

#[derive(Debug, Clone)]
pub(crate) struct RefTask {
    pub(crate) run: RunId,
    pub(crate) pool: String,
    /// The pool in which it was added.
    home: String,
    pub(crate) state: TaskState,
    parents: Vec<TaskId>,
    keep_going: bool,
    pub(crate) failures: u32,
    max_attempts: u32,
    lost: u32,
    due: TimestampMs,
    /// The start that was asked for, or the end of a retry's delay.
    not_before: Option<TimestampMs>,
    began: bool,
    /// It is prepared, and only waits for its place.
    pub(crate) waits: bool,
    pub(crate) cancelling: bool,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct RefRun {
    tenant: String,
    cancelled: bool,
    paused: bool,
    state: Option<RunState>,
}

/// A task that is added.
pub(crate) struct Added {
    pub(crate) task: TaskId,
    pub(crate) pool: String,
    pub(crate) parents: Vec<TaskId>,
    pub(crate) on_dep_failure: OnDepFailure,
    pub(crate) max_attempts: u32,
}

#[derive(Debug)]
pub(crate) struct Reference {
    pub(crate) now: TimestampMs,
    pub(crate) tasks: BTreeMap<TaskId, RefTask>,
    pub(crate) runs: BTreeMap<RunId, RefRun>,
    pub(crate) closed_pools: Vec<String>,
    /// What a tenant may run in a pool, by both; none is any number.
    pub(crate) lanes: BTreeMap<(String, String), Option<u32>>,
}

impl Reference {
    pub(crate) fn new(now: TimestampMs) -> Self {
        Self { now, tasks: BTreeMap::new(), runs: BTreeMap::new(), closed_pools: Vec::new(), lanes: BTreeMap::new() }
    }

    pub(crate) fn run_state(&self, run: RunId) -> RunState {
        self.runs[&run].state.unwrap_or(RunState::Active)
    }

    pub(crate) fn is_paused(&self, run: RunId) -> bool {
        self.runs[&run].paused
    }

    pub(crate) fn of(&self, run: RunId) -> Vec<TaskId> {
        self.tasks.iter().filter(|(_, t)| t.run == run).map(|(id, _)| *id).collect()
    }

    /// Whether a claim from these pools must find something, and whether it may be this task.
    pub(crate) fn claimable(&self, pools: &[&str]) -> Vec<TaskId> {
        let lane = |t: &RefTask| (self.runs[&t.run].tenant.clone(), t.pool.clone());
        let running = |of: &(String, String)| {
            self.tasks.values().filter(|t| t.state == TaskState::Running && lane(t) == *of).count()
        };
        let is_free = |of: (String, String)| match self.lanes.get(&of) {
            Some(Some(limit)) => running(&of) < *limit as usize,
            _ => true,
        };
        let open =
            |t: &RefTask| pools.contains(&t.pool.as_str()) && !self.closed_pools.contains(&t.pool) && is_free(lane(t));
        let due = |t: &RefTask| t.state == TaskState::Ready || (t.state == TaskState::Scheduled && t.due <= self.now);
        self.tasks.iter().filter(|(_, t)| open(t) && due(t)).map(|(id, _)| *id).collect()
    }

    pub(crate) fn submit(&mut self, run: RunId, tenant: String, added: Vec<Added>, start_at: Option<TimestampMs>) {
        self.runs.insert(run, RefRun { tenant, ..RefRun::default() });
        self.add(run, added);
        for task in self.tasks.values_mut().filter(|t| t.run == run && t.state == TaskState::Ready) {
            if let Some(at) = start_at {
                (task.state, task.due, task.not_before) = (TaskState::Scheduled, at, Some(at));
            }
        }
    }

    /// Forgets what is over; those runs.
    pub(crate) fn prune(&mut self) -> Vec<RunId> {
        let over: Vec<RunId> = self.runs.iter().filter(|(_, run)| run.state.is_some()).map(|(id, _)| *id).collect();
        self.runs.retain(|id, _| !over.contains(id));
        self.tasks.retain(|_, task| !over.contains(&task.run));
        over
    }

    pub(crate) fn add(&mut self, run: RunId, added: Vec<Added>) {
        for new in added {
            let states: Vec<TaskState> = new.parents.iter().map(|p| self.tasks[p].state).collect();
            let keep_going = new.on_dep_failure == OnDepFailure::Run;
            let hopeless = states.iter().any(|s| s.is_final() && *s != TaskState::Succeeded);
            let state = match () {
                () if hopeless && !keep_going => TaskState::Skipped,
                () if states.iter().any(|s| !s.is_final()) => TaskState::Blocked,
                () if self.runs[&run].paused => TaskState::Paused,
                () => TaskState::Ready,
            };
            self.tasks.insert(
                new.task,
                RefTask {
                    run,
                    home: new.pool.clone(),
                    pool: new.pool,
                    state,
                    parents: new.parents,
                    keep_going,
                    failures: 0,
                    max_attempts: new.max_attempts,
                    lost: 0,
                    due: self.now,
                    not_before: None,
                    began: false,
                    waits: false,
                    cancelling: false,
                },
            );
        }
    }

    /// Scheduled tasks whose time has come are ready from the next claim on.
    pub(crate) fn promote(&mut self) {
        let now = self.now;
        for task in self.tasks.values_mut().filter(|t| t.state == TaskState::Scheduled && t.due <= now) {
            task.state = TaskState::Ready;
        }
    }

    pub(crate) fn claim(&mut self, task: TaskId) {
        self.set(task, TaskState::Running);
        let task = self.tasks.get_mut(&task).unwrap();
        (task.began, task.waits) = (true, false);
    }

    fn set(&mut self, task: TaskId, state: TaskState) {
        self.tasks.get_mut(&task).unwrap().state = state;
    }

    fn parents_open(&self, task: &RefTask) -> bool {
        task.parents.iter().any(|p| !self.tasks[p].state.is_final())
    }

    fn parents_hopeless(&self, task: &RefTask) -> bool {
        task.parents.iter().any(|p| self.tasks[p].state.is_final() && self.tasks[p].state != TaskState::Succeeded)
    }

    /// Lets every blocked task see what became of its parents, in the order of the graph.
    fn follow(&mut self, run: RunId) {
        for id in self.of(run) {
            let task = &self.tasks[&id];
            if task.state != TaskState::Blocked {
                continue;
            }
            match () {
                () if self.parents_hopeless(task) && !task.keep_going => self.set(id, TaskState::Skipped),
                () if self.parents_open(task) => {}
                () => self.let_go(id),
            }
        }
    }

    /// A task that waits for no other any more waits for its time, or for nothing.
    fn let_go(&mut self, task: TaskId) {
        let (now, paused) = (self.now, self.runs[&self.tasks[&task].run].paused);
        let task = self.tasks.get_mut(&task).unwrap();
        task.due = task.not_before.unwrap_or(now).max(now);
        task.state = match () {
            () if paused => TaskState::Paused,
            () if task.due > now => TaskState::Scheduled,
            () => TaskState::Ready,
        };
    }

    pub(crate) fn settle(&mut self, run: RunId) {
        let tasks: Vec<TaskState> = self.of(run).iter().map(|t| self.tasks[t].state).collect();
        let about = self.runs.get_mut(&run).unwrap();
        let has = |state| tasks.contains(&state);
        about.state = match () {
            () if tasks.iter().any(|s| !s.is_final()) => None,
            () if about.cancelled => Some(RunState::Cancelled),
            () if has(TaskState::Failed) => Some(RunState::Failed),
            () if has(TaskState::Cancelled) => Some(RunState::Cancelled),
            () => Some(RunState::Succeeded),
        };
        about.paused &= about.state.is_none();
    }

    /// A running task ends for good; what it adds is added before its run is settled.
    pub(crate) fn close(&mut self, task: TaskId, state: TaskState) {
        let cancelled = self.tasks[&task].cancelling;
        self.set(task, if cancelled { TaskState::Cancelled } else { state });
        self.follow(self.tasks[&task].run);
    }

    fn end(&mut self, task: TaskId, state: TaskState) {
        self.close(task, state);
        self.settle(self.tasks[&task].run);
    }

    pub(crate) fn fail(&mut self, task: TaskId, retry: &Retry) {
        if self.tasks[&task].cancelling {
            return self.end(task, TaskState::Cancelled);
        }
        let held = self.tasks.get_mut(&task).unwrap();
        let delay = match retry {
            Retry::Held(delay) => *delay,
            Retry::Changed(delay, change) => {
                held.failures = 0;
                held.pool = change.pool.clone().unwrap_or_else(|| held.pool.clone());
                *delay
            }
            Retry::After(delay) if held.failures + 1 < held.max_attempts => {
                held.failures += 1;
                *delay
            }
            Retry::After(_) | Retry::Never => {
                held.failures += 1;
                return self.end(task, TaskState::Failed);
            }
        };
        self.delay(task, delay);
    }

    pub(crate) fn release(&mut self, task: TaskId) {
        match self.tasks[&task].cancelling {
            true => self.end(task, TaskState::Cancelled),
            false => self.put_back(task, TaskState::Ready),
        }
    }

    /// Its lease has run out: nobody died of it.
    pub(crate) fn expire(&mut self, task: TaskId) {
        self.release(task);
    }

    /// Its worker died.
    pub(crate) fn lose(&mut self, task: TaskId) {
        if self.tasks[&task].cancelling {
            return self.end(task, TaskState::Cancelled);
        }
        let held = self.tasks.get_mut(&task).unwrap();
        held.lost += u32::from(!held.waits);
        if held.lost < MAX_LOST { self.put_back(task, TaskState::Ready) } else { self.end(task, TaskState::Failed) }
    }

    fn put_back(&mut self, task: TaskId, state: TaskState) {
        if state == TaskState::Ready {
            self.tasks.get_mut(&task).unwrap().not_before = None;
        }
        let about = &self.tasks[&task];
        let state = match () {
            () if self.parents_open(about) => TaskState::Blocked,
            () if self.runs[&about.run].paused => TaskState::Paused,
            () => state,
        };
        self.set(task, state);
    }

    fn delay(&mut self, task: TaskId, delay: Duration) {
        let held = self.tasks.get_mut(&task).unwrap();
        held.due = self.now.after(delay);
        held.not_before = Some(held.due);
        self.put_back(task, TaskState::Scheduled);
    }

    pub(crate) fn cancel_run(&mut self, run: RunId) {
        if self.run_state(run) != RunState::Active {
            return;
        }
        self.runs.get_mut(&run).unwrap().cancelled = true;
        for task in self.tasks.values_mut().filter(|t| t.run == run && !t.state.is_final()) {
            match task.state {
                TaskState::Running => task.cancelling = true,
                _ => task.state = TaskState::Cancelled,
            }
        }
        self.settle(run);
    }

    pub(crate) fn cancel_task(&mut self, task: TaskId) {
        match self.tasks[&task].state {
            state if state.is_final() => {}
            TaskState::Running => self.tasks.get_mut(&task).unwrap().cancelling = true,
            _ => {
                self.set(task, TaskState::Cancelled);
                self.follow(self.tasks[&task].run);
                self.settle(self.tasks[&task].run);
            }
        }
    }

    /// Whether a run is on its way to a stop.
    pub(crate) fn is_stopping(&self, run: RunId) -> bool {
        self.runs[&run].cancelled && self.run_state(run) == RunState::Active
    }

    pub(crate) fn retry_run(&mut self, run: RunId) {
        let failed = |t: &RefTask| t.state.is_final() && t.state != TaskState::Succeeded;
        let open: Vec<TaskId> = self.of(run).into_iter().filter(|t| failed(&self.tasks[t])).collect();
        if open.is_empty() {
            return;
        }
        self.revive(run, &open);
    }

    /// `Err` is the code of the refusal.
    pub(crate) fn retry_task(&mut self, task: TaskId) -> Result<(), &'static str> {
        let about = &self.tasks[&task];
        let run = about.run;
        match about.state {
            state if !state.is_final() || state == TaskState::Succeeded => return Err("queue_not_over"),
            _ if self.is_stopping(run) => return Err("queue_still_stopping"),
            _ if !about.keep_going && self.parents_hopeless(about) => return Err("queue_parent_first"),
            _ => {}
        }
        let mut open = vec![task];
        for id in self.of(run).into_iter().filter(|id| *id > task) {
            let child = &self.tasks[&id];
            let below = child.parents.iter().any(|p| self.is_below(*p, task));
            let saved = |p: &TaskId| {
                open.contains(p) || !self.tasks[p].state.is_final() || self.tasks[p].state == TaskState::Succeeded
            };
            if child.state == TaskState::Skipped && below && child.parents.iter().all(saved) {
                open.push(id);
            }
        }
        self.revive(run, &open);
        Ok(())
    }

    fn is_below(&self, task: TaskId, top: TaskId) -> bool {
        task == top || self.tasks[&task].parents.iter().any(|p| self.is_below(*p, top))
    }

    fn revive(&mut self, run: RunId, open: &[TaskId]) {
        self.runs.get_mut(&run).unwrap().cancelled = false;
        for id in open {
            let task = self.tasks.get_mut(id).unwrap();
            (task.state, task.failures, task.lost, task.cancelling) = (TaskState::Blocked, 0, 0, false);
            task.pool = task.home.clone();
            task.not_before = task.not_before.filter(|_| !task.began);
        }
        for id in self.of(run) {
            let task = &self.tasks[&id];
            let stands = matches!(task.state, TaskState::Ready | TaskState::Scheduled | TaskState::Paused);
            if stands && self.parents_open(task) {
                self.set(id, TaskState::Blocked);
            }
        }
        // What was blocked already may keep a parent without a result: it was revived around it, or runs in spite of it.
        for id in self.of(run) {
            let task = &self.tasks[&id];
            if task.state == TaskState::Blocked && !self.parents_open(task) {
                self.let_go(id);
            }
        }
        self.settle(run);
    }

    pub(crate) fn pause(&mut self, run: RunId) {
        if self.run_state(run) != RunState::Active || self.runs[&run].paused {
            return;
        }
        self.runs.get_mut(&run).unwrap().paused = true;
        for task in self.tasks.values_mut().filter(|t| t.run == run) {
            if matches!(task.state, TaskState::Ready | TaskState::Scheduled) {
                task.state = TaskState::Paused;
            }
        }
    }

    pub(crate) fn resume(&mut self, run: RunId) {
        let now = self.now;
        self.runs.get_mut(&run).unwrap().paused = false;
        for task in self.tasks.values_mut().filter(|t| t.run == run && t.state == TaskState::Paused) {
            task.state = if task.due > now { TaskState::Scheduled } else { TaskState::Ready };
        }
    }
}
