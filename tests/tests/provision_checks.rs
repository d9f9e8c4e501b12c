//! What provisioning says about a wrong bitcoind or electrs: one clear line for each case, and no search elsewhere.
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use leyden_harness::provision::{Program, ProvisionError, Provisioner};
use tempfile::TempDir;

#[test]
fn a_named_bitcoind_that_does_not_exist_is_an_error_that_names_it() {
    let place = TempDir::new().unwrap();
    let error = find_bitcoind(&place, Some(place.path().join("nowhere"))).unwrap_err();
    assert!(matches!(error, ProvisionError::NotThere { .. }));
    let names = format!("BITCOIND_EXE names {}/nowhere, which does not exist", place.path().display());
    assert_eq!(error.to_string(), names);
}

#[test]
fn a_named_bitcoind_that_cannot_be_run_is_an_error() {
    let place = TempDir::new().unwrap();
    let exe = fake(place.path(), "bitcoind", "echo never");
    std::fs::set_permissions(&exe, PermissionsExt::from_mode(0o644)).unwrap();
    let error = find_bitcoind(&place, Some(exe)).unwrap_err();
    assert!(matches!(error, ProvisionError::NotExecutable { .. }), "{error}");
    let error = find_bitcoind(&place, Some(place.path().to_owned())).unwrap_err();
    assert!(matches!(error, ProvisionError::NotExecutable { .. }), "{error}");
}

#[test]
fn something_else_than_bitcoind_is_refused_with_what_it_said() {
    let place = TempDir::new().unwrap();
    let exe = fake(place.path(), "bitcoind", "echo tea, version v31.0.0");
    let error = find_bitcoind(&place, Some(exe)).unwrap_err();
    assert!(matches!(error, ProvisionError::NotBitcoind { .. }), "{error}");
    assert!(error.to_string().contains("tea, version v31.0.0"));
    let silent = fake(place.path(), "silent", "exit 0");
    assert!(matches!(find_bitcoind(&place, Some(silent)), Err(ProvisionError::NotBitcoind { .. })));
}

#[test]
fn a_bitcoind_that_is_too_old_is_refused_with_its_version() {
    let place = TempDir::new().unwrap();
    let exe = fake(place.path(), "bitcoind", "echo Bitcoin Core version v27.1.0");
    let error = find_bitcoind(&place, Some(exe.clone())).unwrap_err();
    assert!(matches!(error, ProvisionError::TooOld { .. }));
    assert!(
        error.to_string().starts_with(&format!("{} is Bitcoin Core 27.1, and 28.0", exe.display())),
        "{error}"
    );
}

#[test]
fn a_good_one_is_run_once_until_it_changes() {
    let place = TempDir::new().unwrap();
    let runs = place.path().join("runs");
    let says =
        |version: &str| format!("echo run >> {}; echo Bitcoin Core daemon version {version}", runs.display());
    let exe = fake(place.path(), "bitcoind", &says("v31.99.0-unk bitcoind"));
    for _ in 0..3 {
        assert_eq!(find_bitcoind(&place, Some(exe.clone())).unwrap(), Some(exe.clone()));
    }
    assert_eq!(std::fs::read_to_string(&runs).unwrap(), "run\n");
    fake(place.path(), "bitcoind", &says("v27.0.0"));
    assert!(matches!(find_bitcoind(&place, Some(exe)), Err(ProvisionError::TooOld { .. })));
}

#[test]
fn path_is_searched_and_one_that_is_too_old_is_passed_over() {
    let place = TempDir::new().unwrap();
    let [old, good] = ["old", "good"].map(|name| place.path().join(name));
    std::fs::create_dir_all(&old).unwrap();
    std::fs::create_dir_all(&good).unwrap();
    fake(&old, "bitcoind", "echo Bitcoin Core daemon version v0.21.0");
    let exe = fake(&good, "bitcoind", "echo Bitcoin Core daemon version v28.0.0");
    let mut provisioner = provisioner(&place, None);
    provisioner.search_path = Some(std::env::join_paths([old, good]).unwrap());
    assert_eq!(provisioner.find(Program::Bitcoind).unwrap(), Some(exe));
}

#[test]
fn with_nothing_anywhere_nothing_is_found() {
    let place = TempDir::new().unwrap();
    assert_eq!(find_bitcoind(&place, None).unwrap(), None);
}

#[test]
fn the_users_own_data_folder_is_left_alone() {
    let place = TempDir::new().unwrap();
    let told =
        "case \"$*\" in '-version -nosettings -datadir=/'*) echo Bitcoin Core daemon version v31.0.0;; esac";
    let exe = fake(place.path(), "bitcoind", told);
    assert_eq!(find_bitcoind(&place, Some(exe.clone())).unwrap(), Some(exe));
}

#[test]
fn an_electrs_that_is_none_or_of_the_wrong_version_is_refused() {
    let place = TempDir::new().unwrap();
    let find = |exe: PathBuf| {
        let electrs_exe = Some(exe.into_os_string());
        Provisioner { electrs_exe, ..provisioner(&place, None) }.find(Program::Electrs)
    };
    let error = find(place.path().join("nowhere")).unwrap_err();
    let names = format!("ELECTRS_EXE names {}/nowhere, which does not exist", place.path().display());
    assert_eq!(error.to_string(), names);

    let tea = fake(place.path(), "tea", "echo tea");
    assert!(matches!(find(tea), Err(ProvisionError::NotElectrs { output, .. }) if output == "tea"));

    let old = fake(place.path(), "old", "echo v0.9.14");
    let error = find(old.clone()).unwrap_err();
    let words = format!("{} is electrs 0.9.14, and 0.10.10 or later is needed", old.display());
    assert!(error.to_string().starts_with(&words), "{error}");

    let good = fake(place.path(), "electrs", "[ \"$1\" = --version ] && echo v0.10.10");
    assert_eq!(find(good.clone()).unwrap(), Some(good.clone()));
    // What passed as electrs was not looked at as a bitcoind.
    assert!(matches!(find_bitcoind(&place, Some(good)), Err(ProvisionError::NotBitcoind { .. })));
}

#[test]
fn an_electrs_in_path_that_is_too_old_is_passed_over() {
    let place = TempDir::new().unwrap();
    fake(place.path(), "electrs", "echo v0.10.9");
    let search_path = Some(place.path().as_os_str().to_owned());
    let provisioner = Provisioner { search_path, ..provisioner(&place, None) };
    assert_eq!(provisioner.find(Program::Electrs).unwrap(), None);
}

fn find_bitcoind(place: &TempDir, exe: Option<PathBuf>) -> Result<Option<PathBuf>, ProvisionError> {
    provisioner(place, exe).find(Program::Bitcoind)
}

fn provisioner(place: &TempDir, exe: Option<PathBuf>) -> Provisioner {
    let bitcoind_exe = exe.map(PathBuf::into_os_string);
    let cache = place.path().join("cache");
    Provisioner { bitcoind_exe, electrs_exe: None, search_path: None, cache, download: false }
}

/// A shell script in the place of bitcoind.
fn fake(folder: &Path, name: &str, script: &str) -> PathBuf {
    let exe = folder.join(name);
    std::fs::write(&exe, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&exe, PermissionsExt::from_mode(0o755)).unwrap();
    exe
}
