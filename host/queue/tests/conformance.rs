//! The suite, once for each store.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on should stop")]

mod suite;

use std::sync::Arc;

use suite::{Database, graph, leases, operate, redo, share, submission};
use travel_queue::{Clock, HostLock, SqliteStore, Store};

/// One host after another works on it; the lock goes from each to the next.
struct SqliteFile {
    folder: tempfile::TempDir,
    _lock: HostLock,
}

impl SqliteFile {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let _lock = HostLock::acquire(&folder.path().join("queue.db")).unwrap();
        Self { folder, _lock }
    }
}

impl Database for SqliteFile {
    fn open(&self, clock: Arc<dyn Clock>) -> Box<dyn Store> {
        Box::new(SqliteStore::open_for_work(self.folder.path().join("queue.db"), clock).unwrap())
    }
}

macro_rules! sqlite {
    ($($part:ident: $($case:ident),+;)+) => {$($(
        #[test]
        fn $case() {
            $part::$case(&SqliteFile::new());
        }
    )+)+};
}

sqlite! {
    submission:
        a_key_used_twice_gives_the_first_run_back,
        a_run_without_a_key_is_always_new,
        what_breaks_a_rule_is_refused_and_leaves_nothing,
        unknown_things_are_named,
        everything_handed_in_is_handed_out_again,
        events_have_no_gap_and_are_read_from_any_place;
    graph:
        a_task_waits_for_every_parent_and_for_nothing_else,
        emitted_tasks_hang_on_the_finishing_one_and_on_each_other,
        a_finish_that_cannot_be_whole_changes_nothing,
        a_failure_skips_what_waits_for_it_all_the_way_down,
        an_emitted_child_of_a_failed_task_is_skipped_at_once,
        a_retried_run_does_again_what_was_not_done,
        cancelling_stops_what_waits_and_asks_what_runs,
        a_cancelled_task_may_also_fail_or_be_released;
    redo:
        a_task_done_again_opens_only_what_depends_on_it,
        a_former_take_can_be_chosen,
        a_result_is_remembered_by_what_it_was_made_from_and_for_its_tenant,
        what_a_finished_run_has_made_can_be_forgotten_but_for_some_slots,
        a_redo_that_failed_can_be_undone_by_its_former_take,
        a_result_that_is_chosen_may_be_all_that_a_run_needs,
        a_redo_does_not_set_going_what_needs_another_failed_task;
    leases:
        a_stale_answer_changes_nothing,
        a_dead_host_costs_no_attempt,
        a_task_that_loses_three_workers_is_poison,
        only_workers_that_died_make_a_task_poison,
        who_could_not_have_killed_a_worker_loses_nothing,
        a_task_of_a_cancelled_run_is_not_started_again,
        heartbeats_keep_a_lease_and_silence_ends_it,
        a_failed_attempt_is_made_again_when_its_time_has_come,
        a_changed_task_goes_on_in_another_pool_until_somebody_sets_it_going_again,
        what_holds_a_task_up_costs_no_attempt_and_is_explained,
        a_released_task_is_as_if_it_had_not_been_taken,
        an_incarnation_registers_once;
    share:
        who_and_what_is_known_can_be_asked,
        within_a_lane_priority_goes_before_age,
        pools_are_served_in_the_order_of_the_wish,
        tenants_are_served_by_weight,
        what_tasks_really_took_is_what_counts,
        who_was_away_neither_hoards_nor_pays,
        who_was_held_neither_saves_up_nor_owes,
        a_limit_that_is_lifted_is_not_made_up_for,
        nobody_pays_for_the_time_when_no_host_was_there,
        what_was_only_prepared_is_not_charged,
        waiting_for_a_place_is_not_charged,
        a_lane_can_be_limited_and_paused,
        a_tenant_has_no_more_open_runs_than_its_quota,
        who_starts_beside_running_tasks_pays_nothing_for_them,
        a_loaded_model_goes_first_among_equals;
    operate:
        a_paused_run_holds_back_what_has_not_started,
        a_retry_that_was_paused_still_waits_for_its_time,
        a_paused_pool_is_closed_to_everybody,
        a_cancelled_task_takes_along_what_needs_it_and_nothing_else,
        a_running_task_that_is_cancelled_is_asked_to_stop,
        a_retried_task_revives_what_was_skipped_for_it,
        a_run_waits_for_the_start_that_was_asked_for,
        a_delay_is_waited_for_though_a_parent_is_set_going_again,
        a_deadline_is_handed_out_with_the_claim,
        every_task_can_say_why_it_is_where_it_is,
        old_runs_are_forgotten_and_live_ones_never,
        what_is_kept_is_counted_for_each_tenant_and_state,
        a_clean_up_goes_in_small_steps_and_every_rule_holds_between_them,
        a_key_of_a_run_that_is_being_forgotten_is_free,
        a_sound_queue_has_nothing_to_repair;
}
