//! Pickles: what is refused, and that nothing else is lost.

use std::fs;
use std::io::{Cursor, Read, Write};

use isogloss::checkpoint::{self, CheckpointError};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::{fixture, folder_with, message};

/// The archive of a fixture with some entries replaced (`None` leaves one out).
fn archive(name: &str, changes: &[(&str, Option<&[u8]>)], method: CompressionMethod) -> Vec<u8> {
    let bytes = fs::read(fixture(name)).unwrap();
    let mut from = ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut to = ZipWriter::new(Cursor::new(Vec::new()));
    for n in 0..from.len() {
        let mut entry = from.by_index(n).unwrap();
        let full = entry.name().unwrap().into_owned();
        let short = full.split_once('/').unwrap().1;
        let mut data = Vec::new();
        entry.read_to_end(&mut data).unwrap();
        match changes.iter().find(|(name, _)| *name == short) {
            Some((_, None)) => continue,
            Some((_, Some(new))) => data = new.to_vec(),
            None => {}
        }
        let options = SimpleFileOptions::default().compression_method(method);
        to.start_file(full.as_str(), options).unwrap();
        to.write_all(&data).unwrap();
    }
    to.finish().unwrap().into_inner()
}

fn open_pickle(pickle: &[u8]) -> Result<checkpoint::Checkpoint, CheckpointError> {
    let changes: [(&str, Option<&[u8]>); 1] = [("data.pkl", Some(pickle))];
    let bytes = archive(
        "pickle/pytorch_model.bin",
        &changes,
        CompressionMethod::Stored,
    );
    checkpoint::open(folder_with("pytorch_model.bin", &bytes).path())
}

fn described(name: &str) -> Vec<u8> {
    let mut archive = ZipArchive::new(fs::File::open(fixture(name)).unwrap()).unwrap();
    let mut all = Vec::new();
    let index = (0..archive.len())
        .find(|&n| {
            archive
                .by_index(n)
                .unwrap()
                .name()
                .unwrap()
                .ends_with("data.pkl")
        })
        .unwrap();
    archive
        .by_index(index)
        .unwrap()
        .read_to_end(&mut all)
        .unwrap();
    all
}

#[test]
fn anything_but_tensors_is_refused_by_its_name() {
    let whole = described("pickle/pytorch_model.bin");
    // A call whose result is thrown away before the tensors follow.
    let hidden = [b"\x80\x02cos\nsystem\nX\x04\0\0\0true\x85R0", &whole[2..]].concat();
    let cases: [(&[u8], &str); 5] = [
        (b"\x80\x02cos\nsystem\nX\x04\0\0\0true\x85R.", "os.system"),
        (
            b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.",
            "os.system",
        ),
        (b"(ibuiltins\neval\n.", "builtins.eval"),
        (
            b"\x80\x02}X\x01\0\0\0acargparse\nNamespace\n)\x81s.",
            "argparse.Namespace",
        ),
        (&hidden, "os.system"),
    ];
    for (pickle, global) in cases {
        match open_pickle(pickle).unwrap_err() {
            CheckpointError::UnsafePickle { global: named, .. } => assert_eq!(named, global),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn beside_the_weights_of_fairseq_other_objects_are_inert() {
    // `args` of the fixture is an argparse.Namespace; one inside `model` is refused all the same.
    checkpoint::open(&fixture("fairseq")).unwrap();
    let inside = b"\x80\x02}(X\x05\0\0\0modelcargparse\nNamespace\n)\x81X\x04\0\0\0argsK\x01u.";
    match open_pickle(inside).unwrap_err() {
        CheckpointError::UnsafePickle { global, .. } => assert_eq!(global, "argparse.Namespace"),
        other => panic!("{other}"),
    }
    let whole = described("fairseq/model.pt");
    let hidden = [b"\x80\x02cos\nsystem\nX\x04\0\0\0true\x85R0", &whole[2..]].concat();
    let bytes = archive(
        "fairseq/model.pt",
        &[("data.pkl", Some(&hidden))],
        CompressionMethod::Stored,
    );
    let error = message(checkpoint::open(folder_with("model.pt", &bytes).path()));
    assert!(error.contains("wants to load `os.system`"), "{error}");
}

#[test]
fn a_wrong_setting_of_fairseq_is_named() {
    let whole = described("fairseq/model.pt");
    let cases: [(&[u8], &[u8], &str); 2] = [
        (
            b"relu",
            b"gelu",
            r#"`activation_fn` should be "relu", got "gelu""#,
        ),
        (
            b"encoder_normalize_before",
            b"encoder_normalize_xxxxxx",
            "`encoder_normalize_before` should be true",
        ),
    ];
    for (from, to, expected) in cases {
        let at = whole.windows(from.len()).position(|w| w == from).unwrap();
        let mut changed = whole.clone();
        changed[at..at + from.len()].copy_from_slice(to);
        let bytes = archive(
            "fairseq/model.pt",
            &[("data.pkl", Some(&changed))],
            CompressionMethod::Stored,
        );
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.pt");
        fs::write(&path, bytes).unwrap();
        let error = message(checkpoint::open(&path));
        assert!(
            error.contains(expected) && error.contains("model.pt"),
            "{error}"
        );
    }
}

#[test]
fn what_is_no_state_dict_says_so() {
    let cases: [(&[u8], &str); 5] = [
        (b"\x80\x02]].", "it should hold a dictionary of tensors"),
        (
            b"\x80\x02}X\x05\0\0\0epochK\x03s.",
            "its entry `epoch` should be a tensor",
        ),
        (
            b"\x80\x02}K\x01K\x03s.",
            "its entry `(no text)` should be a tensor",
        ),
        (
            b"\x80\x02}.",
            "tensor `shared.weight` of shape [200, 16] is missing",
        ),
        (b"\x80\x02}", "unexpected end at byte 3 of its pickle"),
    ];
    for (pickle, expected) in cases {
        let error = message(open_pickle(pickle));
        assert!(error.contains(expected), "{error}");
    }
    let dir = tempfile::tempdir().unwrap();
    fs::copy(
        fixture("pickle/pytorch_model.bin"),
        dir.path().join("model.pt"),
    )
    .unwrap();
    assert!(message(checkpoint::open(dir.path())).contains("as in a fairseq checkpoint"));
}

#[test]
fn a_damaged_archive_says_how() {
    let open = |changes: &[(&str, Option<&[u8]>)], method| {
        let bytes = archive("pickle/pytorch_model.bin", changes, method);
        message(checkpoint::open(
            folder_with("pytorch_model.bin", &bytes).path(),
        ))
    };
    let stored = CompressionMethod::Stored;
    assert!(open(&[], CompressionMethod::Deflated).contains("is compressed or encrypted"));
    assert!(open(&[("data.pkl", None)], stored).contains("it has no `data.pkl`"));
    assert!(open(&[("data/3", None)], stored).contains("lies in `data/3`, which is missing"));
    assert!(
        open(&[("data/0", Some(b"1234"))], stored).contains("reaches beyond its 1 stored values")
    );
    assert!(open(&[("byteorder", Some(b"big"))], stored).contains("big-endian"));
    let bytes = fs::read(fixture("pickle/pytorch_model.bin")).unwrap();
    for damaged in [
        &b""[..],
        b"PK",
        &bytes[..bytes.len() / 2],
        &bytes[..bytes.len() - 1],
    ] {
        let error = message(checkpoint::open(
            folder_with("pytorch_model.bin", damaged).path(),
        ));
        assert!(
            error.contains("pytorch_model.bin is damaged or no PyTorch file"),
            "{error}"
        );
    }
    let old = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
    let error = message(checkpoint::open(
        folder_with("pytorch_model.bin", old).path(),
    ));
    assert!(
        error.contains("the format before PyTorch 1.6 is not supported"),
        "{error}"
    );
}
