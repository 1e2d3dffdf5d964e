//! The documents tell the truth: their commands run, their links lead somewhere, the contract is documented.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests may fail")]

mod support;

use std::path::{Path, PathBuf};
use support::{Desk, workspace};

fn documents() -> Vec<PathBuf> {
    let root = workspace();
    let mut found = vec![root.join("README.md")];
    let mut folders = vec![root.join("docs"), root.join("examples"), root.join("host"), root.join("plugins")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "md") {
                found.push(path);
            }
        }
    }
    found
}

/// The fenced blocks of a language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// Every `sh` block is run as it stands, in a copy of what it refers to, with the program on the path. Blocks that
/// install, build or need other machines are marked as `text`.
#[test]
fn every_command_in_the_documents_runs() {
    let program = Path::new(env!("CARGO_BIN_EXE_travel-host"));
    let path = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut ran = 0;
    for document in documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        let blocks = blocks(&text, "sh");
        if blocks.is_empty() {
            continue;
        }
        let desk = Desk::new();
        for name in ["examples", "plugins", "host", "wit", "tests", "Cargo.toml", "Cargo.lock", "clippy.toml"] {
            let mut copy = std::process::Command::new("cp");
            copy.arg("-r").arg(workspace().join(name)).arg(desk.dir.path());
            assert!(copy.status().unwrap().success(), "{name}");
        }
        for block in blocks {
            let output = std::process::Command::new("bash")
                .args(["-euo", "pipefail", "-c", &block])
                .current_dir(desk.dir.path())
                .env("PATH", &path)
                .env("CARGO_TARGET_DIR", program.parent().unwrap().parent().unwrap())
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}:\n{block}\n{said}", document.display());
            ran += 1;
        }
    }
    assert!(ran >= 5, "only {ran} blocks");
}

#[test]
fn links_in_the_documents_lead_to_files() {
    for document in documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        for target in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            let file = target.split('#').next().unwrap();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            let path = document.parent().unwrap().join(file);
            assert!(path.exists(), "{} links to {target}", document.display());
        }
    }
}

/// Lines of a contract that have no words of their own above them and need some: every interface, type, function and world,
/// and every field of a record that is written over several lines. A record on one line is one thought.
fn undocumented(text: &str) -> Vec<String> {
    let (mut found, mut is_documented, mut is_record) = (Vec::new(), false, false);
    for (n, line) in text.lines().enumerate() {
        let line = line.trim();
        let is_doc = line.starts_with("///");
        let first = line.split_whitespace().next().unwrap_or_default();
        let is_item = matches!(first, "interface" | "record" | "variant" | "enum" | "type" | "world")
            || (line.contains(": func(") && !is_doc);
        if line == "}" {
            is_record = false;
        }
        let is_field = is_record && !line.is_empty() && !line.starts_with("//");
        if (is_item || is_field) && !is_documented {
            found.push(format!("{}: {line}", n + 1));
        }
        is_record |= first == "record" && line.ends_with('{');
        is_documented = is_doc;
    }
    found
}

#[test]
fn every_item_of_the_contract_is_documented() {
    for file in ["wit/plugin.wit", "wit/deps/travel-host/host.wit"] {
        let text = std::fs::read_to_string(workspace().join(file)).unwrap();
        assert_eq!(undocumented(&text), [] as [String; 0], "{file}");
    }
}

#[test]
fn a_field_of_the_contract_without_words_is_found() {
    let wit = "/// A.\nrecord a {\n  /// B.\n  b: u32,\n  c: u32,\n\n  d: u32,\n}\n/// One thought.\nrecord e { f: u32 }\ntype g = u32;\n";
    assert_eq!(undocumented(wit), ["5: c: u32,", "7: d: u32,", "11: type g = u32;"]);
}
