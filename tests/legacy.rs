//! The original's database, in both of its layouts, and its way to work.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests may fail")]

#[path = "support/host.rs"]
mod host;
mod support;

use host::Host;
use rusqlite::{Connection, params};
use serde_json::{Value, json};
use std::path::PathBuf;
use support::{Desk, count, quick};

/// June 2025: `task_id`, no projects.
const FIRST: &str = "CREATE TABLE tasks(task_id TEXT PRIMARY KEY, params TEXT NOT NULL, task_type TEXT NOT NULL,
  status TEXT DEFAULT 'Queued', output_location TEXT, dependant_on TEXT,
  created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP)";
/// July 2025: `id`, projects, ISO times.
const SECOND: &str =
    "CREATE TABLE tasks(id TEXT PRIMARY KEY, params TEXT, task_type TEXT, status TEXT DEFAULT 'Queued',
  dependant_on TEXT NULL, output_location TEXT, created_at TEXT, updated_at TEXT, project_id TEXT NOT NULL)";

/// The original's file, filled as its tools filled it.
struct Old {
    desk: Desk,
    sql: Connection,
    is_second: bool,
}

impl Old {
    fn new(layout: &str) -> Self {
        let desk = Desk::new();
        let sql = Connection::open(desk.path("tasks.db")).unwrap();
        sql.execute_batch("PRAGMA journal_mode = WAL").unwrap();
        sql.execute_batch(layout).unwrap();
        std::fs::write(desk.path("travel-host.toml"), "[generator]\nname = \"dissolve\"\n").unwrap();
        Self { desk, sql, is_second: layout == SECOND }
    }

    fn add(&self, id: &str, kind: &str, status: &str, params: &Value, parent: Option<&str>) {
        let statement = match self.is_second {
            true => {
                "INSERT INTO tasks(id, task_type, status, params, dependant_on, created_at, updated_at, project_id)
                 VALUES(?1, ?2, ?3, ?4, ?5, '2025-07-08T10:00:00.000Z', '2025-07-08T10:05:00.000Z', 'p')"
            }
            false => "INSERT INTO tasks(task_id, task_type, status, params, dependant_on) VALUES(?1, ?2, ?3, ?4, ?5)",
        };
        self.sql.execute(statement, params![id, kind, status, params.to_string(), parent]).unwrap();
    }

    fn row(&self, id: &str) -> (String, Option<String>) {
        let key = if self.is_second { "id" } else { "task_id" };
        let query = format!("SELECT status, output_location FROM tasks WHERE {key} = ?1");
        self.sql.query_row(&query, [id], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    }

    fn details(&self, run: &str, pictures: &[String]) -> Value {
        let legs = pictures.len() - 1;
        json!({
            "run_id": run, "orchestrator_task_id": format!("sm_travel_orchestrator_{run}"),
            "main_output_dir_for_run": self.desk.path("old-films"), "num_new_segments_to_generate": legs,
            "input_image_paths_resolved": pictures.iter().map(|p| self.desk.path(p)).collect::<Vec<PathBuf>>(),
            "base_prompts_expanded": vec!["a road"; legs], "negative_prompts_expanded": vec![""; legs],
            "parsed_resolution_wh": "96x64", "model_name": "vace_14B", "seed_base": 12345, "execution_engine": "wgp",
            "cfg_star_switch": 0, "cfg_zero_step": -1, "params_json_str_override": null, "fps_helpers": 16,
            "fade_in_params_json_str": "{\"low_point\": 0.0, \"high_point\": 1.0, \"curve_type\": \"ease_in_out\", \"duration_factor\": 0.0}",
            "fade_out_params_json_str": "{\"low_point\": 0.0, \"high_point\": 1.0, \"curve_type\": \"ease_in_out\", \"duration_factor\": 0.0}",
            "subsequent_starting_strength_adjustment": 0.0, "desaturate_subsequent_starting_frames": 0.0,
            "adjust_brightness_subsequent_starting_frames": 0.0, "after_first_post_generation_saturation": null,
            "after_first_post_generation_brightness": 0.0, "crossfade_sharp_amt": 0.3, "upscale_factor": 0.0,
            "upscale_model_name": "ltxv_13B", "debug_mode_enabled": false, "skip_cleanup_enabled": false,
        })
    }

    fn serve(&self) {
        self.desk.ok(&["run", "--until-idle", "--legacy-db", "tasks.db"]);
    }
}

fn with(mut details: Value, more: Value) -> Value {
    details.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    details
}

#[test]
fn orchestrator_rows_of_the_first_layout_become_films_and_are_answered() {
    let old = Old::new(FIRST);
    let pictures = old.desk.pictures(3);
    let frames = json!({ "segment_frames_expanded": [9, 10], "frame_overlap_expanded": [4, 4], "last_frame_duplication": 0,
        "vace_image_refs_prepared": [{"type": "final", "strength_to_apply": 1.0, "segment_idx_for_naming": 0}] });
    let details = with(old.details("20250603_120000_1", &pictures), frames);
    old.add("good", "travel_orchestrator", "Queued", &json!({ "orchestrator_details": details }), None);
    let gone = with(
        details.clone(),
        json!({ "run_id": "gone", "input_image_paths_resolved": ["nowhere.png", "else.png", "p2.png"] }),
    );
    old.add("bad", "travel_orchestrator", "Queued", &json!({ "orchestrator_details": gone.to_string() }), None);
    let nothing = with(details.clone(), json!({ "run_id": "nothing", "num_new_segments_to_generate": 0 }));
    old.add("nothing", "travel_orchestrator", "Queued", &json!({ "orchestrator_details": nothing }), None);
    old.add("alien", "different_pose", "Queued", &json!({}), None);
    old.add("busy", "travel_orchestrator", "In Progress", &json!({ "orchestrator_details": details }), None);
    old.serve();

    let (status, location) = old.row("good");
    assert_eq!(status, "Complete", "{location:?}");
    let film = PathBuf::from(location.unwrap());
    assert_eq!(film, old.desk.path("old-films/20250603_120000_1_final.mp4"));
    assert_eq!(count(&film), 19, "frames that segments add");
    let (status, why) = old.row("bad");
    assert!(status == "Failed" && why.as_ref().unwrap().contains("nowhere.png"), "{status} {why:?}");
    assert_eq!(old.row("nothing"), ("Complete".into(), None));
    // Mended and queued once more, as its tools do it.
    for (from, to) in [("p0.png", "nowhere.png"), ("p1.png", "else.png")] {
        std::fs::copy(old.desk.path(from), old.desk.path(to)).unwrap();
    }
    old.sql.execute("UPDATE tasks SET status = 'Queued', output_location = NULL WHERE task_id = 'bad'", []).unwrap();
    old.serve();
    assert_eq!(old.row("bad").0, "Complete");
    assert_eq!(old.row("alien"), ("Queued".into(), None), "nobody here knows this kind");
    assert_eq!(old.row("busy"), ("In Progress".into(), None), "somebody else's");
    let columns: i64 = old.sql.query_row("SELECT count(*) FROM pragma_table_info('tasks')", [], |r| r.get(0)).unwrap();
    let tables: i64 =
        old.sql.query_row("SELECT count(*) FROM sqlite_schema WHERE type = 'table'", [], |r| r.get(0)).unwrap();
    assert_eq!((columns, tables), (8, 1), "its schema is as it was");
}

#[test]
fn segments_and_a_stitch_of_the_second_layout_are_answered_one_by_one() {
    let old = Old::new(SECOND);
    let pictures = old.desk.pictures(3);
    let frames = json!({ "segment_frames_expanded": [9, 13], "frame_overlap_expanded": [5], "apply_causvid": false });
    let details = with(old.details("r7", &pictures), frames);
    let child = |index: u32| {
        json!({ "orchestrator_run_id": "r7", "orchestrator_task_id_ref": "lost", "segment_index": index,
                "full_orchestrator_payload": details })
    };
    old.add("s0", "travel_segment", "Queued", &child(0), None);
    old.add("s1", "travel_segment", "Queued", &json!(child(1).to_string()), Some("s0"));
    old.add("film", "travel_stitch", "Queued", &child(0), Some("s1"));
    old.add("s7", "travel_segment", "Queued", &child(7), Some("s1"));
    old.serve();
    // Quantised to 9 and 13, of which 4 are shared.
    for (row, file, frames) in
        [("s0", "r7_seg00_output.mp4", 9), ("s1", "r7_seg01_output.mp4", 13), ("film", "r7_final.mp4", 18)]
    {
        let (status, location) = old.row(row);
        assert_eq!(
            (status.as_str(), location.as_deref()),
            ("Complete", Some(format!("files/{file}").as_str())),
            "{row}"
        );
        assert_eq!(count(&old.desk.path("public/files").join(file)), frames, "{row}");
    }
    assert_eq!(old.desk.json(&["runs", "list"]).as_array().unwrap().len(), 1);
    let (status, why) = old.row("s7");
    assert!(status == "Failed" && why.as_ref().unwrap().contains("has 2 segments"), "{status} {why:?}");
    old.serve();
    assert_eq!(old.desk.json(&["runs", "list"]).as_array().unwrap().len(), 1, "nothing is done twice");
}

#[test]
fn rows_that_come_while_a_host_works_are_made_and_those_of_a_dead_host_are_answered_by_the_next() {
    let old = Old::new(FIRST);
    let pictures = old.desk.pictures(3);
    let frames =
        json!({ "segment_frames_expanded": [9, 9], "frame_overlap_expanded": [4], "last_frame_duplication": 0 });
    let order = |run: &str| json!({ "orchestrator_details": with(old.details(run, &pictures), frames.clone()) });
    let mut host = Host::start(&old.desk, &["run", "--legacy-db", "tasks.db"]);
    old.add("late", "travel_orchestrator", "Queued", &order("late"), None);
    assert!(host.wait_for(|e| e["event"] == "run-finished" && e["state"] == "succeeded"));
    old.desk.json(&["queue", "pause", "--pool", "cpu"]);
    old.add("next", "travel_orchestrator", "Queued", &order("next"), None);
    assert!(host.wait_for(|e| e["event"] == "task-succeeded" && e["name"] == "orchestrator"));
    assert_eq!(old.row("late").0, "Complete");
    host.signal("KILL");
    host.end();
    assert_eq!(old.row("next").0, "In Progress");
    old.desk.json(&["queue", "resume", "--pool", "cpu"]);
    old.serve();
    assert_eq!(old.row("next").0, "Complete");
    assert_eq!(old.desk.json(&["runs", "list"]).as_array().unwrap().len(), 2);
}

#[test]
fn history_is_taken_over_once_and_the_old_file_keeps_its_bytes() {
    let old = Old::new(SECOND);
    let pictures = old.desk.pictures(2);
    let order = |run: &str| json!({ "orchestrator_details": old.details(run, &pictures) });
    old.add("one", "travel_orchestrator", "Complete", &order("done"), None);
    old.add("two", "travel_orchestrator", "Failed", &order("broken"), None);
    old.add("three", "travel_orchestrator", "Queued", &order("waiting"), None);
    old.add("part", "travel_segment", "Complete", &json!({}), None);
    old.sql.execute("UPDATE tasks SET output_location = 'files/done.mp4' WHERE id = 'one'", []).unwrap();
    old.sql.execute("UPDATE tasks SET output_location = 'no memory' WHERE id = 'two'", []).unwrap();
    old.sql.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let before = std::fs::read(old.desk.path("tasks.db")).unwrap();
    let migrate = ["migrate", "--from-legacy", "tasks.db"];
    let told = old.desk.json(&migrate);
    assert_eq!((&told["taken"], &told["known"], &told["queued"]), (&json!(2), &json!(0), &json!(1)), "{told}");
    let told = old.desk.json(&migrate);
    assert_eq!((&told["taken"], &told["known"]), (&json!(0), &json!(2)), "{told}");
    assert_eq!(std::fs::read(old.desk.path("tasks.db")).unwrap(), before);
    assert!(old.desk.path("tasks.db.before-travel-host").exists());
    let runs = old.desk.json(&["runs", "list"]);
    let told: Vec<_> = runs.as_array().unwrap().iter().map(|r| (r["name"].clone(), r["state"].clone())).collect();
    assert_eq!(told, [(json!("broken"), json!("failed")), (json!("done"), json!("succeeded"))]);
    let broken = old.desk.json(&["runs", "show", "broken"]);
    assert_eq!((&broken["error"], &broken["created_at"]), (&json!("no memory"), &json!(1_751_968_800_000i64)));
    assert_eq!(old.desk.json(&["queue", "doctor"])["findings"], json!([]));
}

#[test]
fn what_is_no_database_of_the_original_is_refused() {
    let desk = Desk::new();
    desk.refused(&["run", "--legacy-db", "gone.db"], 2, "legacy_db");
    std::fs::write(desk.path("text.db"), "no database at all, but a text").unwrap();
    desk.refused(&["run", "--legacy-db", "text.db"], 2, "legacy_db");
    Connection::open(desk.path("other.db")).unwrap().execute_batch("CREATE TABLE tasks(id TEXT, params TEXT)").unwrap();
    let text = desk.refused(&["migrate", "--from-legacy", "other.db"], 2, "legacy_db");
    assert!(text.contains("task_type"), "{text}");
}

#[test]
fn the_old_flow_renders_one_segment_after_another_and_ends_with_the_film() {
    let desk = Desk::new();
    let pictures = desk.pictures(4);
    let flags = ["--legacy_travel_flow", "--name", "old", "--output-dir", "out", "--frame-overlap", "0"];
    desk.ok(&quick("travel_between_images", &pictures, &flags));
    assert_eq!(count(&desk.path("out/old.mp4")), 27);
    let text = desk.ok(&["runs", "events", "old", "--json"]);
    let kinds = ["task_started", "task_succeeded"];
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect();
    let told: Vec<&str> =
        events.iter().filter_map(|e| e["kind"].as_str()).filter(|kind| kinds.contains(kind)).collect();
    assert!(told.chunks(2).all(|pair| pair == kinds), "one after another: {told:?}");
    let broken = ["--legacy-travel-flow", "--name", "broken", "--generator", "gone"];
    desk.refused(&quick("travel", &pictures, &broken), 2, "generator_unknown");
}
