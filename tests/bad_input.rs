//! Bad input: one clear diagnostic, an exit code that says whose fault it is, and nothing left behind.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests may fail")]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use support::{Desk, QUICK, quick, workspace};

/// Refused with exit code 2, and neither a row nor a file is left.
fn leaves_nothing(desk: &Desk, args: &[&str], code: &str) -> String {
    let before = desk.names();
    let text = desk.refused(args, 2, code);
    assert_eq!(desk.names(), before, "{args:?} left something behind");
    text
}

#[test]
fn images_that_cannot_be_read_are_named_with_the_reason() {
    let desk = Desk::new();
    let pictures = desk.pictures(2);
    std::fs::write(desk.path("empty.png"), b"").unwrap();
    std::fs::write(desk.path("text.png"), b"this is no picture, it is a line of text\n").unwrap();
    let whole = std::fs::read(desk.path("p0.png")).unwrap();
    std::fs::write(desk.path("half.png"), &whole[..whole.len() / 2]).unwrap();
    for command in ["travel", "render", "plan"] {
        for (bad, code) in [
            ("missing.png", "media_missing"),
            ("empty.png", "media_empty"),
            ("half.png", "media_unreadable"),
            ("text.png", "media_unreadable"),
        ] {
            let images = [pictures[0].clone(), bad.to_owned()];
            let text = leaves_nothing(&desk, &quick(command, &images, &[]), code);
            assert!(text.contains(bad), "{text}");
        }
    }
}

#[test]
fn a_pipe_is_not_waited_for() {
    let desk = Desk::new();
    let pictures = desk.pictures(1);
    assert!(std::process::Command::new("mkfifo").arg(desk.path("pipe.png")).status().unwrap().success());
    leaves_nothing(&desk, &quick("plan", &[pictures[0].clone(), "pipe.png".to_owned()], &[]), "not_a_file");
}

#[test]
fn one_image_is_too_few() {
    let desk = Desk::new();
    let pictures = desk.pictures(1);
    let text = leaves_nothing(&desk, &quick("travel", &pictures, &[]), "too_few_images");
    assert!(text.contains("1 image is given"), "{text}");
    leaves_nothing(&desk, &["travel", "--name", "x"], "too_few_images");
}

#[test]
fn lists_have_one_value_or_one_a_leg() {
    let desk = Desk::new();
    let pictures = desk.pictures(4);
    for (flag, values, says) in [
        ("--segment-frames", &["9,9"][..], "2 values for 3 legs"),
        ("--frame-overlap", &["3,3,3,3"], "4 values for 2 joins"),
        ("--base-prompts", &["a", "b"], "2 values for 3 legs"),
    ] {
        let more: Vec<&str> = [flag].into_iter().chain(values.iter().copied()).collect();
        let text = leaves_nothing(&desk, &quick("travel", &pictures, &more), "list_length");
        assert!(text.contains(flag) && text.contains(says), "{text}");
    }
}

#[test]
fn an_overlap_that_reaches_into_the_next_is_refused_with_both_numbers() {
    let desk = Desk::new();
    let pictures = desk.pictures(3);
    for overlap in ["9", "10"] {
        let text = leaves_nothing(&desk, &quick("travel", &pictures, &["--frame-overlap", overlap]), "plugin_refused");
        assert!(text.contains("segment 1 (image 2 to image 3)"), "{text}");
        assert!(text.contains(&format!("{overlap} frames")) && text.contains("only 9"), "{text}");
        assert!(text.contains("--frame-overlap to 8 or less"), "{text}");
    }
    let text = leaves_nothing(&desk, &quick("travel", &pictures, &["--segment-frames", "0"]), "plugin_refused");
    assert!(text.contains("--segment-frames must be 1 or more"), "{text}");
}

#[test]
fn sizes_that_no_encoder_takes_are_refused() {
    let desk = Desk::new();
    let pictures = desk.pictures(2);
    for size in ["0x64", "wide", "64"] {
        let text = leaves_nothing(&desk, &quick("travel", &pictures, &["--resolution", size]), "usage");
        assert!(text.contains(size), "{text}");
    }
    for size in ["9000x64", "8x8", "8192x8192"] {
        let text = leaves_nothing(&desk, &quick("travel", &pictures, &["--resolution", size]), "bad_size");
        assert!(text.contains(size), "{text}");
    }
    assert_eq!(desk.names(), ["p0.png", "p1.png"]);
}

#[test]
fn an_output_folder_that_cannot_be_written_is_refused_before_anything_is_stored() {
    let desk = Desk::new();
    let pictures = desk.pictures(2);
    std::fs::write(desk.path("file"), b"").unwrap();
    leaves_nothing(&desk, &quick("travel", &pictures, &["--output-dir", "file/below"]), "output_folder");
    leaves_nothing(&desk, &quick("render", &pictures, &["-o", "/proc/film.mp4"]), "output_folder");
}

#[test]
fn a_film_that_is_there_is_not_replaced_unless_asked() {
    let desk = Desk::new();
    let pictures = desk.pictures(2);
    std::fs::write(desk.path("film.mp4"), b"mine").unwrap();
    leaves_nothing(&desk, &quick("render", &pictures, &["-o", "film.mp4"]), "output_exists");
    assert_eq!(std::fs::read(desk.path("film.mp4")).unwrap(), b"mine");
    std::os::unix::fs::symlink("film.mp4", desk.path("link.mp4")).unwrap();
    leaves_nothing(&desk, &quick("render", &pictures, &["-o", "link.mp4", "--overwrite"]), "not_a_file");
    leaves_nothing(&desk, &quick("render", &pictures, &["-o", "film.gif"]), "bad_value");
    desk.ok(&quick("render", &pictures, &["-o", "film.mp4", "--overwrite"]));
    assert!(std::fs::metadata(desk.path("film.mp4")).unwrap().len() > 100);
}

#[test]
fn unknown_names_and_settings_are_refused_with_the_known_ones() {
    let desk = Desk::new();
    let pictures = desk.pictures(2);
    let text = leaves_nothing(&desk, &quick("travel", &pictures, &["--generator", "wan"]), "generator_unknown");
    assert!(text.contains("rife") && text.contains("dissolve"), "{text}");
    leaves_nothing(
        &desk,
        &quick("travel", &pictures, &["--generator-settings", "{\"speed\": 3}"]),
        "generator_settings",
    );
    leaves_nothing(&desk, &quick("travel", &pictures, &["--generator-settings", "3"]), "bad_json");
    says_what_to_do(&desk, &quick("travel", &pictures, &["--param", "guide.fit=diagonal"]), "plugin_params");
    says_what_to_do(&desk, &quick("travel", &pictures, &["--param", "crossfade.kurve=linear"]), "plugin_params");
    says_what_to_do(&desk, &quick("travel", &pictures, &["--role", "guide=acme"]), "plugin_unknown");
    leaves_nothing(&desk, &quick("travel", &pictures, &["--name", "a/b"]), "bad_name");
}

#[test]
fn numbers_beyond_their_range_are_refused_before_anything_is_rendered() {
    let desk = Desk::new();
    let pictures = desk.pictures(2);
    for (flag, value) in [
        ("--after-first-post-generation-brightness", "-2"),
        ("--after-first-post-generation-saturation", "nan"),
        ("--tenant", ""),
    ] {
        let text = leaves_nothing(&desk, &quick("travel", &pictures, &[flag, value]), "bad_value");
        assert!(text.contains(flag), "{text}");
    }
}

#[test]
fn a_film_that_nobody_can_make_so_large_is_refused_with_those_who_can() {
    let desk = Desk::new();
    let pictures = desk.pictures(2);
    let refused = |more: &[&str], code: &str| leaves_nothing(&desk, &quick("travel", &pictures, more), code);
    for factor in ["8.5", "-1", "nan"] {
        let text = refused(&["--upscale-factor", factor], "bad_upscale");
        assert!(text.to_lowercase().contains(factor) && text.contains("up to 8 times"), "{text}");
    }
    let text = refused(&["--upscale-factor", "2", "--upscale-model-name", "dissolve"], "bad_upscale");
    assert!(text.contains("those that do are lanczos"), "{text}");
    refused(&["--upscale-factor", "2", "--upscale-model-name", "ltxv_13B"], "generator_unknown");
    refused(&["--upscale-factor", "2", "--upscale-settings", r#"{"a": 1}"#], "generator_settings");
    let text = refused(&["--upscaler", "lanczos"], "bad_upscale");
    assert!(text.contains("--upscale-factor"), "{text}");
    let text = refused(&["--upscale-factor", "8", "--resolution", "1920x1072"], "bad_size");
    assert!(text.contains("15360x8576"), "{text}");
    let text = refused(&["--generator", "lanczos"], "generator_only_an_upscaler");
    assert!(text.contains("--upscale-model-name"), "{text}");
}

#[test]
fn flags_that_mean_nothing_here_are_refused_never_ignored() {
    let desk = Desk::new();
    let pictures = desk.pictures(2);
    for flag in [
        &["--poll_interval", "15"][..],
        &["--poll_timeout", "1800"],
        &["--output_video_frames", "30"],
        &["--booster_loras"],
    ] {
        let text = leaves_nothing(&desk, &quick("travel", &pictures, flag), "not_supported");
        assert!(text.contains(&flag[0].replace('_', "-")), "{text}");
    }
}

#[test]
fn a_database_that_cannot_be_used_says_why() {
    let desk = Desk::new();
    let pictures = desk.pictures(2);
    desk.refused(&["runs", "list"], 1, "queue_missing");
    std::fs::write(
        desk.path("text.db"),
        "not a database, only a long enough line of text to look like a header\n".repeat(9),
    )
    .unwrap();
    for command in ["travel", "render"] {
        let before = desk.names();
        let args = quick(command, &pictures, &["--db", "text.db", "--output-dir", "out/deep"]);
        let text = desk.refused(&args, 1, "queue_not_a_database");
        assert!(text.contains("text.db"), "{text}");
        assert_eq!(desk.names(), before);
    }

    std::fs::create_dir(desk.path("folder.db")).unwrap();
    desk.refused(&["queue", "doctor", "--db", "folder.db"], 1, "queue_not_a_database");
    desk.refused(&quick("travel", &pictures, &["--db", "folder.db"]), 1, "queue_not_a_database");

    desk.json(&quick("travel", &pictures, &["--name", "trip"]));
    let bytes = std::fs::read(desk.path("travel-host.db")).unwrap();
    assert!(bytes.len() > 8192);
    let mut broken = bytes.clone();
    broken.iter_mut().skip(100).take(6000).for_each(|b| *b ^= 0x5a);
    std::fs::write(desk.path("broken.db"), broken).unwrap();
    let output = desk.run(&["runs", "list", "--db", "broken.db"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("broken.db") && text.contains("damaged"), "{text}");

    let mut newer = bytes;
    // `user_version` lies at offset 60 of the header, big-endian.
    newer[60..64].copy_from_slice(&999u32.to_be_bytes());
    std::fs::write(desk.path("newer.db"), newer).unwrap();
    let text = desk.refused(&["runs", "list", "--db", "newer.db"], 1, "queue_too_new");
    assert!(text.contains("999"), "{text}");
}

#[test]
fn a_film_that_another_run_is_going_to_write_is_refused_before_anything_is_rendered() {
    fn trip<'a>(pictures: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
        quick("travel", pictures, &[&["--name", "trip", "--output-dir", "out"], more].concat())
    }
    let desk = Desk::new();
    let pictures = desk.pictures(2);
    desk.json(&trip(&pictures, &["--idempotency-key", "k"]));
    let text = leaves_nothing(&desk, &trip(&pictures, &[]), "output_taken");
    assert!(text.contains("run 1 ") && text.contains("out/trip.mp4"), "{text}");
    desk.refused(&quick("render", &pictures, &["-o", "out/trip.mp4"]), 2, "output_taken");
    assert_eq!(desk.json(&trip(&pictures, &["--idempotency-key", "k"]))["created"], false);
    desk.json(&trip(&pictures, &["--overwrite"]));
    desk.json(&quick("travel", &pictures, &["--name", "trip", "--output-dir", "other"]));
    for run in ["1", "2"] {
        desk.ok(&["runs", "cancel", run]);
    }
    desk.json(&trip(&pictures, &[]));
}

#[test]
fn a_run_or_task_that_is_not_there_is_named() {
    let desk = Desk::new();
    let pictures = desk.pictures(2);
    desk.json(&quick("travel", &pictures, &["--name", "trip"]));
    let text = desk.refused(&["runs", "show", "77"], 1, "queue_unknown_run");
    assert!(text.contains("77"), "{text}");
    desk.refused(&["tasks", "show", "77"], 1, "queue_unknown_task");
    desk.refused(&["render", "--resume", "other"], 1, "queue_unknown_run");
    desk.refused(&["render", "--resume", "1", "--db", "nowhere.db"], 1, "queue_missing");
    assert!(!desk.path("nowhere.db").exists());
}

/// [`leaves_nothing`], and the user is told what to do.
fn says_what_to_do(desk: &Desk, args: &[&str], code: &str) -> String {
    let text = leaves_nothing(desk, args, code);
    assert!(text.contains("\n  try: "), "{args:?} leaves the user without advice: {text}");
    text
}

fn plugin(desk: &Desk, folder: &str, toml: &str, wasm: &[u8]) {
    let folder = desk.path(folder);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("plugin.toml"), toml).unwrap();
    std::fs::write(folder.join("p.wasm"), wasm).unwrap();
}

fn manifest(id: &str, roles: &str) -> String {
    format!(
        "id = \"{id}\"\nversion = \"1.0.0\"\ndescription = \"for a test\"\ncomponent = \"p.wasm\"\n[roles]\n{roles}\n[wants]\nlog = true\n"
    )
}

fn dissolve_wasm() -> Vec<u8> {
    std::fs::read(workspace().join("plugins/dissolve/dissolve.wasm")).unwrap()
}

#[test]
fn plugins_that_cannot_be_loaded_say_why() {
    let desk = Desk::new();
    let pictures = desk.pictures(2);
    std::fs::create_dir(desk.path("none")).unwrap();
    plugin(&desk, "text", &manifest("text", "guide = true"), b"this is text");
    plugin(&desk, "role", &manifest("dissolve", "orchestrate = true"), &dissolve_wasm());
    plugin(&desk, "name", &manifest("other", "guide = true\ncrossfade = true"), &dissolve_wasm());
    plugin(&desk, "toml", "id = 3", b"");
    for (folder, code) in [
        ("nowhere", "plugin_folder_missing"),
        ("none", "plugin_none"),
        ("text", "plugin_not_a_component"),
        ("role", "plugin_incompatible"),
        ("name", "plugin_description"),
        ("toml", "plugin_manifest"),
    ] {
        for command in ["travel", "render"] {
            says_what_to_do(&desk, &quick(command, &pictures, &["--plugins", folder]), code);
        }
        desk.refused(&["plugins", "list", "--plugins", folder], 2, code);
    }
    plugin(&desk, "good", &manifest("dissolve", "guide = true\ncrossfade = true"), &dissolve_wasm());
    let text = says_what_to_do(
        &desk,
        &quick("travel", &pictures, &["--plugins", "good", "--role", "orchestrate=dissolve"]),
        "plugin_lacks_role",
    );
    assert!(text.contains("guide, crossfade"), "{text}");
}

#[test]
fn plugins_that_misbehave_are_stopped_and_named_before_anything_is_stored() {
    let desk = Desk::new();
    let pictures = desk.pictures(3);
    let wasm = Path::new(env!("CARGO_BIN_EXE_travel-host")).ancestors().nth(2).unwrap().join("wasm32-wasip2/release");
    let hostile = std::fs::read(wasm.join("travel_test_guests.wasm")).expect("`make plugins` builds it");
    plugin(&desk, "hostile", &manifest("hostile", "guide = true\ncrossfade = true"), &hostile);
    // On a slow machine, or a busy one, a second is over before so much fuel is used.
    std::fs::write(desk.path("travel-host.toml"), "[limits]\nwall-ms = 60000\n").unwrap();
    for (misdeed, code, says) in [
        ("trap", "plugin_crashed", "index out of bounds"),
        ("spin", "plugin_cpu_budget", "2000000000 units of fuel"),
        ("allocate", "plugin_memory_limit", "67108864"),
        ("recurse", "plugin_stack_limit", "524288"),
        ("giant", "plugin_data_limit", "data-bytes"),
        ("overflow", "plugin_invalid_plan", "keep[0]"),
        ("not-a-number", "plugin_invalid_plan", "layers[0].opacity"),
        ("foreign-medium", "plugin_invalid_plan", "layers[0].medium"),
        ("refuse", "plugin_refused", "I would rather not"),
        // Its guide is fine then; its edit list has no steps.
        ("nothing", "plugin_invalid_plan", "0 frames instead of 18"),
    ] {
        let param = format!("guide.do={misdeed}");
        let text =
            says_what_to_do(&desk, &quick("travel", &pictures, &["--plugins", "hostile", "--param", &param]), code);
        assert!(text.contains(says) && text.contains("hostile"), "{misdeed}: {text}");
    }
}

#[test]
fn a_full_disk_in_the_middle_of_a_stitch_fails_the_run_which_can_go_on_later() {
    let desk = Desk::new();
    let pictures = desk.pictures(3);
    std::fs::create_dir(desk.path("disk")).unwrap();
    // In a mount name space of its own: a file system of a few MiB that is filled up to a rest once the segments are
    // rendered, so that the film no longer fits; then room is made, and the run goes on.
    let program = env!("CARGO_BIN_EXE_travel-host");
    let images = pictures.join(" ");
    let flags = QUICK.join(" ").replace("--segment-frames 9", "--segment-frames 60").replace("96x64", "640x432");
    let script = format!(
        r#"set -eu
        mount -t tmpfs -o size=48m tmpfs disk
        "{program}" travel {images} {flags} --crf 0 --preset ultrafast --db disk/q.db --name trip --output-dir disk/out --json
        mkfifo events
        "{program}" run --until-idle --db disk/q.db --json > events 2> first.err &
        host=$!
        filled=no
        while read -r line; do
            case "$line" in *'"phase":"measure"'*)
                if [ $filled = no ]; then
                    free=$(df --output=avail -k disk | tail -n 1)
                    head -c $(( (free - 600) * 1024 )) /dev/zero > disk/ballast
                    filled=yes
                fi ;;
            esac
        done < events
        wait $host || true
        "{program}" runs show trip --db disk/q.db --json > failed.json
        ls -A disk/out > after-failure 2> missing || true
        ls disk/q.data/tmp >> after-failure
        rm disk/ballast
        "{program}" render --resume trip --db disk/q.db --json > resumed.json
        cp disk/out/trip.mp4 film.mp4
        "#
    );
    let root = std::process::Command::new("id").arg("-u").output().unwrap().stdout.starts_with(b"0\n");
    let map: &[&str] = if root { &["--mount"] } else { &["--mount", "--user", "--map-root-user"] };
    let output = std::process::Command::new("unshare")
        .args(map)
        .args(["sh", "-c", &script])
        .current_dir(desk.dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let read = |name: &str| std::fs::read_to_string(desk.path(name)).unwrap();
    let failed: serde_json::Value = serde_json::from_str(&read("failed.json")).unwrap();
    assert_eq!(failed["state"], "failed", "{failed}");
    assert!(failed["error"].as_str().unwrap().contains("disk is full"), "{failed}");
    assert_eq!(read("after-failure").trim(), "", "nothing half-made stays");
    assert_eq!(support::count(&desk.path("film.mp4")), 120);
}

#[test]
fn a_configuration_that_cannot_be_used_names_file_and_line() {
    let desk = Desk::new();
    std::fs::write(desk.path("bad.toml"), "db = \"q.db\"\n[slots]\ngpu = 0\n").unwrap();
    let text = leaves_nothing(&desk, &["plugins", "list", "--config", "bad.toml"], "bad_config");
    assert!(text.contains("slots.gpu"), "{text}");
    std::fs::write(desk.path("worse.toml"), "databse = \"q.db\"\n").unwrap();
    let text = leaves_nothing(&desk, &["plugins", "list", "--config", "worse.toml"], "bad_config");
    assert!(text.contains("databse"), "{text}");
    leaves_nothing(&desk, &["plugins", "list", "--config", "none.toml"], "bad_config");
    std::fs::write(desk.path("pool.toml"), "[slots]\ncpuu = 3\n").unwrap();
    leaves_nothing(&desk, &["plugins", "list", "--config", "pool.toml"], "bad_config");
}

#[test]
fn a_read_only_database_is_refused_for_work() {
    let desk = Desk::new();
    let pictures = desk.pictures(2);
    desk.json(&quick("travel", &pictures, &["--name", "trip", "--db", "d/q.db"]));
    let db = desk.path("d/q.db");
    std::fs::set_permissions(&db, std::fs::Permissions::from_mode(0o444)).unwrap();
    // Root could write all the same; the host goes by the permission.
    desk.refused(&["run", "--until-idle", "--db", "d/q.db"], 1, "queue_read_only");
}
