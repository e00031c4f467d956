use super::*;
use std::io::Write;

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn replaces_a_file_and_leaves_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.txt");
    write_atomic(&path, |w| w.write_all(b"one")).unwrap();
    write_atomic(&path, |w| w.write_all(b"two")).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"two");
    assert_eq!(names(dir.path()), ["a.txt"]);
}

#[test]
fn text_in_another_encoding_is_named_by_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.toml");
    fs::write(&path, "run = \"Prüfung\"\n").unwrap();
    assert_eq!(read_text(&path).unwrap(), "run = \"Prüfung\"\n");
    // The same in Latin-1.
    fs::write(&path, b"# a\nrun = \"Pr\xfcfung\"\n").unwrap();
    let error = read_text(&path).unwrap_err().to_string();
    assert!(
        error.starts_with("line 2 is not UTF-8 (byte 0xFC)"),
        "{error}"
    );
}

#[test]
fn json_ends_its_last_line_and_is_whole_or_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.json");
    write_json(&path, &[1]).unwrap();
    // Keys of JSON are strings.
    let error = write_json(&path, &std::collections::BTreeMap::from([((1, 2), 3)]));
    assert!(matches!(error, Err(FileError::Write { .. })));
    assert_eq!(fs::read_to_string(&path).unwrap(), "[\n  1\n]\n");
    assert_eq!(names(dir.path()), ["a.json"]);
}

#[test]
fn a_full_disk_leaves_the_old_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.txt");
    write_atomic(&path, |w| w.write_all(b"old")).unwrap();
    let error = write_atomic(&path, |w| {
        w.write_all(&[0; 100_000])?;
        Err(io::ErrorKind::StorageFull.into())
    })
    .unwrap_err();
    assert!(error.to_string().contains("a.txt"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(names(dir.path()), ["a.txt"]);
}

#[cfg(unix)]
#[test]
fn links_stay_links() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    create_dir(&at("real")).unwrap();
    std::os::unix::fs::symlink("real/file", at("link")).unwrap();
    std::os::unix::fs::symlink(at("link"), at("second")).unwrap();
    // Once where there's no file yet, once over it.
    for text in ["one", "two"] {
        write_atomic(&at("second"), |w| w.write_all(text.as_bytes())).unwrap();
        assert_eq!(fs::read_to_string(at("real/file")).unwrap(), text);
    }
    assert_eq!(names(&at("real")), ["file"]);
    for link in ["link", "second"] {
        assert!(at(link).is_symlink(), "{link}");
    }
    std::os::unix::fs::symlink(at("ring"), at("ring")).unwrap();
    let error = write_atomic(&at("ring"), |_| Ok(())).unwrap_err();
    assert!(error.to_string().contains("too many links"), "{error:?}");
}

/// A descriptor is written to behind what it has, and what it has open isn't replaced.
#[cfg(target_os = "linux")]
#[test]
fn a_descriptor_is_written_to() {
    use std::os::fd::AsRawFd;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let mut log = fs::File::create(&path).unwrap();
    log.write_all(b"before\n").unwrap();
    let link = dir.path().join("link");
    let descriptor = format!("/proc/self/fd/{}", log.as_raw_fd());
    std::os::unix::fs::symlink(&descriptor, &link).unwrap();
    prepare(&link).unwrap();
    for to in [Path::new(&descriptor), &link] {
        write_atomic(to, |w| w.write_all(b"more\n")).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), "before\nmore\nmore\n");
    assert_eq!(names(dir.path()), ["link", "log"]);
}

#[cfg(unix)]
#[test]
fn a_pipe_is_written_to() {
    use std::io::Read;
    use std::os::unix::fs::FileTypeExt;
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || {
            let mut text = String::new();
            fs::File::open(pipe)
                .unwrap()
                .read_to_string(&mut text)
                .unwrap();
            text
        }
    });
    write_atomic(&pipe, |w| w.write_all(b"through")).unwrap();
    assert_eq!(reader.join().unwrap(), "through");
    assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
    assert_eq!(names(dir.path()), ["pipe"]);
}

#[cfg(unix)]
#[test]
fn a_read_only_directory_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let locked = dir.path().join("locked");
    create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
    // The superuser may write anywhere; then there is nothing to see here.
    if fs::write(locked.join("probe"), b"").is_err() {
        let error = write_atomic(&locked.join("a.txt"), |w| w.write_all(b"x")).unwrap_err();
        assert!(error.to_string().contains("locked/a.txt"), "{error}");
        let error = prepare(&locked.join("a.txt")).unwrap_err();
        assert!(error.to_string().contains("locked/a.txt"), "{error}");
        let error = create_dir(&locked.join("b")).unwrap_err();
        assert!(error.to_string().contains("locked/b"), "{error}");
        assert!(names(&locked).is_empty());
    }
}

#[test]
fn impossible_places_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    write_atomic(&file, |_| Ok(())).unwrap();
    assert!(matches!(
        create_dir(&file.join("x")),
        Err(FileError::CreateDir { .. })
    ));
    let under = write_atomic(&file.join("x"), |_| Ok(()));
    assert!(matches!(under, Err(FileError::Write { .. })));
    let over = write_atomic(dir.path(), |_| Ok(()));
    assert!(matches!(over, Err(FileError::Write { .. })));
    assert!(matches!(
        write_atomic(Path::new(".."), |_| Ok(())),
        Err(FileError::NoFileName { .. })
    ));
    assert_eq!(names(dir.path()), ["file"]);
}

#[cfg(unix)]
#[test]
fn files_are_as_readable_as_any_other() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("plain"), b"").unwrap();
    write_atomic(&dir.path().join("atomic"), |_| Ok(())).unwrap();
    let mode = |n: &str| {
        fs::metadata(dir.path().join(n))
            .unwrap()
            .permissions()
            .mode()
    };
    assert_eq!(mode("plain"), mode("atomic"));

    // What was private stays private.
    let path = dir.path().join("atomic");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    write_atomic(&path, |w| w.write_all(b"secret")).unwrap();
    assert_eq!(mode("atomic") & 0o777, 0o600);
}
