//! A plugin's folder, read without leaving it and without reading a file twice.

use crate::error::PluginError;
use crate::limits::{MAX_MANIFEST_BYTES, MAX_WASM_BYTES};
use crate::manifest::{FILE_NAME, Manifest};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use std::io::Read;
use std::path::Path;

/// Opens a folder; nothing above it can be reached through it.
pub(crate) fn open(path: &Path) -> Result<Dir, PluginError> {
    Dir::open_ambient_dir(path, ambient_authority()).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => PluginError::MissingFolder { path: path.to_owned() },
        _ => PluginError::Io { path: path.to_owned(), source },
    })
}

/// The manifest of an opened folder, and its component. The component's bytes are read once: what is hashed is what is
/// compiled.
pub(crate) fn read(dir: &Dir, path: &Path) -> Result<(Manifest, Vec<u8>), PluginError> {
    let manifest_path = path.join(FILE_NAME);
    let bytes = read_bounded(dir, Path::new(FILE_NAME), &manifest_path, MAX_MANIFEST_BYTES)?;
    let text = String::from_utf8(bytes)
        .map_err(|_| PluginError::Manifest { path: manifest_path.clone(), reason: "it is not UTF-8".into() })?;
    let manifest = Manifest::parse(&text, &manifest_path)?;
    let name = Path::new(&manifest.component);
    let wasm = read_bounded(dir, name, &path.join(name), MAX_WASM_BYTES).map_err(|error| match error {
        PluginError::Io { path, source } if source.kind() == std::io::ErrorKind::NotFound => {
            let build = manifest.build.as_ref().map(|b| format!("; build it: {}", b.command)).unwrap_or_default();
            PluginError::Manifest {
                path: manifest_path,
                reason: format!("its component {} does not exist{build}", path.display()),
            }
        }
        error => error,
    })?;
    Ok((manifest, wasm))
}

fn read_bounded(dir: &Dir, name: &Path, shown: &Path, allowed: u64) -> Result<Vec<u8>, PluginError> {
    let io = |source| PluginError::Io { path: shown.to_owned(), source };
    let file = dir.open(name).map_err(io)?;
    let mut bytes = Vec::new();
    file.take(allowed + 1).read_to_end(&mut bytes).map_err(io)?;
    let size = bytes.len() as u64;
    if size > allowed {
        return Err(PluginError::TooLarge { path: shown.to_owned(), size, allowed });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(component: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let text = format!("id = \"a\"\nversion = \"1\"\ncomponent = \"{component}\"\n[roles]\nguide = true\n");
        std::fs::write(dir.path().join(FILE_NAME), text).unwrap();
        dir
    }

    #[test]
    fn a_component_outside_the_folder_is_not_read() {
        for component in ["../../../../etc/hostname", "/etc/hostname"] {
            let dir = folder(component);
            assert!(read(&open(dir.path()).unwrap(), dir.path()).is_err(), "{component}");
        }
        let dir = folder("link.wasm");
        std::os::unix::fs::symlink("/etc/hostname", dir.path().join("link.wasm")).unwrap();
        assert!(read(&open(dir.path()).unwrap(), dir.path()).is_err(), "a link that leads out");
    }

    #[test]
    fn a_missing_component_says_how_to_build_it() {
        let dir = folder("a.wasm");
        let path = dir.path().join(FILE_NAME);
        let text = std::fs::read_to_string(&path).unwrap() + "[build]\ncommand = \"make a\"\n";
        std::fs::write(&path, text).unwrap();
        let error = read(&open(dir.path()).unwrap(), dir.path()).unwrap_err().to_string();
        assert!(error.ends_with("does not exist; build it: make a"), "{error}");
    }

    #[test]
    fn a_component_beyond_the_size_limit_is_refused() {
        let dir = folder("a.wasm");
        let file = std::fs::File::create(dir.path().join("a.wasm")).unwrap();
        file.set_len(MAX_WASM_BYTES + 1).unwrap();
        let error = read(&open(dir.path()).unwrap(), dir.path()).unwrap_err();
        assert!(matches!(error, PluginError::TooLarge { allowed: MAX_WASM_BYTES, .. }), "{error}");
    }
}
