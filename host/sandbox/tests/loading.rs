//! What is loaded, what is refused, and which plugin answers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests may fail")]

mod component;

use std::path::Path;
use travel::Role;
use travel_sandbox::{CallContext, Plugin, PluginError, Registry, Sandbox, SandboxConfig};

fn install(root: &Path, folder: &str, id: &str, roles: &[&str], wasm: &[u8]) {
    let dir = root.join(folder);
    std::fs::create_dir_all(&dir).unwrap();
    let roles: String = roles.iter().map(|role| format!("{role} = true\n")).collect();
    let manifest =
        format!("id = \"{id}\"\nversion = \"1\"\ncomponent = \"a.wasm\"\n[roles]\n{roles}[wants]\nlog = true\n");
    std::fs::write(dir.join("plugin.toml"), manifest).unwrap();
    std::fs::write(dir.join("a.wasm"), wasm).unwrap();
}

const ALL: [&str; 3] = ["orchestrate", "guide", "crossfade"];

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

fn load(id: &str, roles: &[&str], wasm: Vec<u8>) -> Result<Plugin, PluginError> {
    Plugin::from_bytes(&component::sandbox(), component::manifest(id, roles), wasm)
}

#[test]
fn a_folder_of_plugins_answers_by_role_and_by_name() {
    let root = tempfile::tempdir().unwrap();
    install(root.path(), "b", "dissolve", &["guide", "crossfade"], &component::wasm("plugin-dissolve"));
    std::fs::create_dir(root.path().join("empty")).unwrap();
    std::fs::write(root.path().join("README.md"), "no plugin").unwrap();
    let sandbox = component::sandbox();
    let registry = Registry::open(&sandbox, root.path()).unwrap().with_embedded(component::travel(&sandbox));
    let id = |role, wanted| registry.resolve(role, wanted).map(|p| p.id().to_owned());
    assert_eq!(id(Role::Guide, None).unwrap(), "dissolve", "the only installed one");
    assert_eq!(id(Role::Guide, Some("travel")).unwrap(), "travel", "the embedded one, by name");
    assert_eq!(id(Role::Orchestrate, None).unwrap(), "travel", "nobody else answers it");
    assert!(matches!(id(Role::Orchestrate, Some("dissolve")), Err(PluginError::LacksRole { .. })));
    let error = id(Role::Guide, Some("dissolv")).unwrap_err();
    assert_eq!(error.to_string(), "no plugin is called `dissolv`; there are `dissolve`, `travel`");
    let only = Registry::open(&sandbox, &root.path().join("b")).unwrap();
    assert_eq!(only.plugins().count(), 1, "the folder itself is a plugin");
}

#[test]
fn among_several_the_one_called_travel_answers_else_it_is_ambiguous() {
    let sandbox = component::sandbox();
    let root = tempfile::tempdir().unwrap();
    install(root.path(), "d", "dissolve", &["guide", "crossfade"], &component::wasm("plugin-dissolve"));
    install(root.path(), "h", "hostile", &["guide", "crossfade"], &component::wasm("travel-test-guests"));
    let registry = Registry::open(&sandbox, root.path()).unwrap();
    let error = registry.resolve(Role::Guide, None).unwrap_err();
    assert_eq!(error.to_string(), "several plugins answer guide: `dissolve`, `hostile`; name the one that is meant");
    assert!(matches!(registry.resolve(Role::Orchestrate, None), Err(PluginError::NobodyAnswers { .. })));
    install(root.path(), "t", "travel", &ALL, &component::wasm("plugin-travel"));
    let registry = Registry::open(&sandbox, root.path()).unwrap();
    assert_eq!(registry.resolve(Role::Guide, None).unwrap().id(), "travel");
    install(root.path(), "z", "travel", &ALL, &component::wasm("plugin-travel"));
    assert!(matches!(Registry::open(&sandbox, root.path()), Err(PluginError::DuplicateId { .. })));
}

#[test]
fn missing_and_empty_folders_say_so() {
    let sandbox = component::sandbox();
    let root = tempfile::tempdir().unwrap();
    assert!(matches!(Registry::open(&sandbox, root.path()), Err(PluginError::NoPlugins { .. })));
    let missing = Registry::open(&sandbox, &root.path().join("none")).unwrap_err();
    assert!(matches!(missing, PluginError::MissingFolder { .. }), "{missing}");
}

#[test]
fn a_manifest_that_says_other_roles_than_the_binary_is_refused() {
    let error = load("dissolve", &ALL, component::wasm("plugin-dissolve")).unwrap_err();
    assert!(error.to_string().contains("says in plugin.toml that it answers orchestrate"), "{error}");
    let error = load("dissolve", &["guide"], component::wasm("plugin-dissolve")).unwrap_err();
    assert!(error.to_string().contains("exports crossfade, but plugin.toml does not say so"), "{error}");
}

#[test]
fn a_plugin_must_bear_its_manifest_s_name() {
    let error = load("acme", &["guide", "crossfade"], component::wasm("plugin-dissolve")).unwrap_err();
    assert!(error.to_string().contains("calls itself `dissolve`"), "{error}");
}

#[test]
fn what_is_no_component_is_refused() {
    for (name, bytes) in [
        ("text", b"not wasm".to_vec()),
        ("empty", Vec::new()),
        ("core module", wat("(module)")),
        ("cut short", component::wasm("plugin-dissolve")[..1000].to_vec()),
    ] {
        let error = load("a", &["guide"], bytes).unwrap_err();
        assert!(matches!(error, PluginError::NotAComponent { .. }), "{name}: {error}");
    }
}

#[test]
fn imports_beyond_the_grant_are_listed() {
    let text = r#"(component
        (import "wasi:sockets/tcp-create-socket@0.2.0" (instance (export "f" (func))))
        (import "acme:gpu/render" (instance (export "g" (func))))
        (import "acme:types/only" (instance))
    )"#;
    let error = load("a", &["guide"], wat(text)).unwrap_err();
    let PluginError::Incompatible { missing, .. } = &error else { panic!("{error}") };
    assert_eq!(missing, &["wasi:sockets/tcp-create-socket@0.2.0", "acme:gpu/render"]);
}

#[test]
fn a_log_that_the_manifest_does_not_ask_for_is_not_linked() {
    let mut manifest = component::manifest("hostile", &["guide", "crossfade"]);
    manifest.wants.log = false;
    let error = Plugin::from_bytes(&component::sandbox(), manifest, component::wasm("travel-test-guests")).unwrap_err();
    assert!(error.to_string().contains("[wants] log = true"), "{error}");
}

#[test]
fn a_component_without_the_contract_is_refused() {
    let error = load("a", &["guide"], wat("(component)")).unwrap_err();
    assert!(matches!(&error, PluginError::Incompatible { .. }), "{error}");
    let other = r#"(component (instance $i) (export "travel:plugin/guide@9.0.0" (instance $i)))"#;
    let error = load("a", &["guide"], wat(other)).unwrap_err();
    assert!(error.to_string().contains("`travel:plugin/guide@9.0.0`"), "{error}");
    let typed_otherwise = r#"(component
        (core module $m (func (export "f")))
        (core instance $c (instantiate $m))
        (func $f (canon lift (core func $c "f")))
        (instance $i (export "compose" (func $f)))
        (instance $d (export "describe" (func $f)))
        (export "travel:plugin/guide@0.1.0" (instance $i))
        (export "travel:plugin/describe@0.1.0" (instance $d))
    )"#;
    let error = load("a", &["guide"], wat(typed_otherwise)).unwrap_err();
    assert!(!matches!(error, PluginError::Io { .. }), "{error}");
}

#[test]
fn several_memories_are_added_up_and_instances_are_counted() {
    let memories = r#"(component
        (core module $m (memory 600))
        (core instance (instantiate $m))
        (core instance (instantiate $m))
        (core module $d (func (export "f")))
        (core instance $c (instantiate $d))
        (func $f (canon lift (core func $c "f")))
        (instance $i (export "describe" (func $f)) (export "compose" (func $f)))
        (export "travel:plugin/guide@0.1.0" (instance $i))
        (export "travel:plugin/describe@0.1.0" (instance $i))
    )"#;
    let error = load("a", &["guide"], wat(memories)).unwrap_err();
    assert!(
        matches!(error, PluginError::MemoryLimit { wanted: 78_643_200, allowed: 67_108_864, .. }),
        "1,200 pages of 64 KiB in two memories: {error}"
    );
    let instances = memories
        .replace("(memory 600)", "")
        .replace("(core instance (instantiate $m))", &"(core instance (instantiate $m))".repeat(40));
    let error = load("a", &["guide"], wat(&instances)).unwrap_err();
    assert!(matches!(error, PluginError::MemoryLimit { limit: "instances", allowed: 32, .. }), "{error}");
}

#[test]
fn handles_that_are_hoarded_are_counted() {
    let text = r#"(component
        (import "wasi:io/streams@0.2.0" (instance $streams (export "output-stream" (type (sub resource)))))
        (alias export $streams "output-stream" (type $stream))
        (import "wasi:cli/stdout@0.2.0" (instance $stdout
            (export "output-stream" (type $s (eq $stream)))
            (export "get-stdout" (func (result (own $s))))
        ))
        (core module $m
            (import "host" "get" (func $get (result i32)))
            (memory (export "memory") 1)
            (func (export "f") (result i32) (loop $again (drop (call $get)) (br $again)) unreachable)
        )
        (core func $get (canon lower (func $stdout "get-stdout")))
        (core instance $c (instantiate $m (with "host" (instance (export "get" (func $get))))))
        (alias core export $c "memory" (core memory $memory))
        (type $pairs (list (tuple string string)))
        (type $inner (record (field "name" string) (field "params-schemas" $pairs) (field "extras" $pairs)))
        (export $about "about" (type $inner))
        (func $f (result $about) (canon lift (core func $c "f") (memory $memory)))
        (instance $describe (export "about" (type $about)) (export "describe" (func $f)))
        (instance $guide (export "about" (type $about)) (export "compose" (func $f)))
        (export "travel:plugin/describe@0.1.0" (instance $describe))
        (export "travel:plugin/guide@0.1.0" (instance $guide))
    )"#;
    let error = load("a", &["guide"], wat(text)).unwrap_err();
    assert!(matches!(error, PluginError::HandleLimit { allowed: 256, .. }), "{error}");
}

#[test]
fn the_shipped_plugin_folders_have_good_manifests() {
    for (folder, package, roles) in [("travel", "plugin-travel", 3), ("dissolve", "plugin-dissolve", 2)] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins").join(folder).join("plugin.toml");
        let manifest = travel_sandbox::Manifest::parse(&std::fs::read_to_string(&path).unwrap(), &path).unwrap();
        assert_eq!(manifest.component, format!("{folder}.wasm"));
        let plugin = Plugin::from_bytes(&component::sandbox(), manifest, component::wasm(package)).unwrap();
        assert_eq!(plugin.roles().len(), roles);
    }
}

mod cache {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn sandbox(dir: &Path) -> Result<Sandbox, PluginError> {
        Sandbox::new(SandboxConfig { cache_dir: Some(dir.to_owned()), ..SandboxConfig::default() })
    }

    fn files(dir: &Path) -> Vec<std::path::PathBuf> {
        let mut files: Vec<_> = std::fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == "code"))
            .collect();
        files.sort();
        files
    }

    #[test]
    fn compiled_code_is_kept_and_a_changed_file_is_never_run() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("cache");
        let ctx = CallContext::new("run", "legs");
        let legs = |sandbox: &Sandbox| component::travel(sandbox).legs(3, false, "{}", &ctx).unwrap().0;
        assert_eq!(legs(&sandbox(&dir).unwrap()), 2);
        let file = files(&dir).pop().expect("the compiled code is kept");
        assert_eq!(std::fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(std::fs::metadata(dir.join("key")).unwrap().permissions().mode() & 0o777, 0o600);

        let good = std::fs::read(&file).unwrap();
        assert_eq!(legs(&sandbox(&dir).unwrap()), 2);
        assert_eq!(std::fs::read(&file).unwrap(), good, "taken, not made again");
        for at in [0, 40, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&file, &bad).unwrap();
            assert_eq!(legs(&sandbox(&dir).unwrap()), 2);
            assert_ne!(std::fs::read(&file).unwrap(), bad, "byte {at} was changed; the file is made anew");
        }
        std::fs::write(&file, &good[..10]).unwrap();
        assert_eq!(legs(&sandbox(&dir).unwrap()), 2);
    }

    #[test]
    fn a_cache_that_others_can_write_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let mode = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        mode(root.path(), 0o770);
        assert!(matches!(sandbox(root.path()), Err(PluginError::CacheFolder { .. })));
        mode(root.path(), 0o700);
        sandbox(root.path()).unwrap();
        mode(&root.path().join("key"), 0o644);
        assert!(matches!(sandbox(root.path()), Err(PluginError::CacheFolder { .. })));
    }
}
