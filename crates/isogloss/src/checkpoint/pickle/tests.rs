use super::*;

fn root(bytes: &[u8]) -> Node {
    let pickle = parse(bytes).unwrap();
    pickle.nodes[pickle.root].clone()
}

#[test]
fn plain_values() {
    let cases: [(&[u8], Node); 14] = [
        (b"\x80\x02N.", Node::None),
        (b"\x80\x02\x88.", Node::Bool(true)),
        (b"I01\n.", Node::Bool(true)),
        (b"I-7\n.", Node::Int(-7)),
        (b"L7L\n.", Node::Int(7)),
        (b"\x80\x02K\xff.", Node::Int(255)),
        (b"\x80\x02M\x00\x01.", Node::Int(256)),
        (b"\x80\x02J\xff\xff\xff\xff.", Node::Int(-1)),
        (b"\x80\x02\x8a\x01\xfe.", Node::Int(-2)),
        (b"\x80\x02\x8a\x00.", Node::Int(0)),
        (b"\x80\x02G\x3f\xf8\0\0\0\0\0\0.", Node::Float(1.5)),
        (b"\x80\x02X\x02\0\0\0ab.", Node::Str("ab".into())),
        (b"S'ab'\n.", Node::Str("ab".into())),
        (b"\x80\x04C\x02ab.", Node::Opaque),
    ];
    for (bytes, expected) in cases {
        assert_eq!(root(bytes), expected, "{bytes:?}");
    }
}

#[test]
fn a_list_that_holds_itself_is_read_once() {
    // l = []; l.append(l)
    let pickle = parse(b"\x80\x02]q\x00h\x00a.").unwrap();
    let mut seen = vec![false; pickle.nodes.len()];
    pickle.reach(pickle.root, &mut seen);
    assert_eq!(pickle.nodes[pickle.root], Node::Seq(vec![pickle.root]));
}

#[test]
fn a_call_of_anything_else_is_inert() {
    // os.system("x"), in protocol 0
    let pickle = parse(b"cos\nsystem\n(S'x'\ntR.").unwrap();
    assert!(matches!(pickle.nodes[pickle.root], Node::Object { .. }));
    assert_eq!(pickle.foreign(|_| true), Some("os.system"));
}

#[test]
fn errors_say_where() {
    let cases: [(&[u8], &str); 9] = [
        (b"", "unexpected end at byte 0"),
        (b"\x80\x02X\xff\xff\xff\x7fa.", "unexpected end"),
        (b".", "an empty stack at byte 1"),
        (b"\x80\x02h\x05.", "nothing is remembered under 5"),
        (b"\x80\x02t.", "no mark"),
        (b"\x80\x02NNb.", "a state for something that is no object"),
        (b"\x80\x02K\x01K\x02a.", "no collection"),
        (b"\x80\x02\x82\x01.", "opcode 0x82, which is not read"),
        (b"\x80\x02(N0.", "an empty stack"),
    ];
    for (bytes, expected) in cases {
        let error = parse(bytes).unwrap_err().to_string();
        assert!(error.contains(expected), "{bytes:?}: {error}");
    }
}

mod properties {
    use proptest::prelude::*;

    const OPCODES: &[u8] = b".(012pqrghjNKMJGILFSVUTXCBtldaesu])}cRobiQ\x80\x81\x82\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x90\x91\x92\x93\x94\x95\x96";

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_program_panics(program in prop::collection::vec(
            prop_oneof![3 => prop::sample::select(OPCODES), 1 => 0..4u8, 1 => Just(b'\n')], 0..400)
        ) {
            if let Ok(pickle) = super::parse(&program) {
                let mut seen = vec![false; pickle.nodes.len()];
                pickle.reach(pickle.root, &mut seen);
                // Memory is a small multiple of the program's length.
                prop_assert!(pickle.nodes.len() <= program.len());
            }
        }
    }
}
