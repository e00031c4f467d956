//! Runs the kernel for AMX where the processor lacks it: each of its instructions traps, and a handler decodes it and has
//! [`SoftTiles`] carry it out. So the tests execute the very bytes that were assembled: encodings, registers, addresses, loops.
//!
//! Where the processor has the instructions, nothing traps.

use std::cell::{Cell, RefCell};
use std::sync::Once;

use crate::matmul::amx::soft::SoftTiles;

thread_local! {
    // Neither allocates nor needs a destructor, so the handler may use them.
    static TILES: RefCell<SoftTiles> = const { RefCell::new(SoftTiles::new()) };
    static TRAPS: Cell<usize> = const { Cell::new(0) };
    static SWAPPED: Cell<bool> = const { Cell::new(false) };
}

/// Installs the handler.
pub(super) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let action = SigAction {
            handler: on_illegal_instruction,
            mask: [0; 16],
            flags: SA_SIGINFO,
            restorer: 0,
        };
        // SAFETY: the structure is that of the C library on x86-64 Linux.
        let result = unsafe { sigaction(SIGILL, &raw const action, std::ptr::null_mut()) };
        assert_eq!(result, 0, "sigaction");
    });
}

/// Instructions of this thread that trapped so far.
pub(super) fn traps() -> usize {
    TRAPS.get()
}

/// Whether this thread's products are to be wrong: `b a` instead of `a b`.
pub(super) fn swap_operands(swapped: bool) {
    SWAPPED.set(swapped);
}

const SIGILL: i32 = 4;
const SA_SIGINFO: i32 = 4;
/// Where a signal's context has the general registers, and which of them is the instruction pointer (`ucontext_t`, `REG_RIP`).
const REGISTERS: usize = 40;
const RIP: usize = 16;
/// Indices there of the registers as instructions number them (`REG_RAX`, ...).
const NUMBERED: [usize; 16] = [13, 14, 12, 11, 15, 10, 9, 8, 0, 1, 2, 3, 4, 5, 6, 7];

#[repr(C)]
struct SigAction {
    handler: extern "C" fn(i32, *mut u8, *mut u8),
    mask: [u64; 16],
    flags: i32,
    restorer: usize,
}

unsafe extern "C" {
    fn sigaction(signal: i32, action: *const SigAction, old: *mut SigAction) -> i32;
    fn signal(signal: i32, handler: usize) -> usize;
}

extern "C" fn on_illegal_instruction(_: i32, _: *mut u8, context: *mut u8) {
    // SAFETY: the system gave us the context of the thread, which waits until we return; it stood at an instruction of at least 5
    // bytes if it's one of ours, and a function is longer than what is read of any other.
    unsafe {
        let registers = &mut *context.add(REGISTERS).cast::<[u64; 23]>();
        let code = std::slice::from_raw_parts(registers[RIP] as *const u8, 10);
        match Instruction::decode(code) {
            Some(instruction) => {
                instruction.execute(registers);
                registers[RIP] += instruction.len as u64;
                TRAPS.set(TRAPS.get() + 1);
            }
            // Back to it, to end as without us.
            None => {
                signal(SIGILL, 0);
            }
        }
    }
}

/// An instruction of AMX: VEX with three bytes, map `0F 38`, W and L zero.
#[derive(Debug, PartialEq)]
struct Instruction {
    opcode: u8,
    /// The implied prefix: none, 66, F3, F2.
    prefix: u8,
    reg: usize,
    vvvv: usize,
    operand: Operand,
    len: usize,
}

#[derive(Debug, PartialEq)]
enum Operand {
    Register(usize),
    Memory {
        base: usize,
        index: Option<(usize, u8)>,
        displacement: i64,
    },
}

impl Instruction {
    fn decode(code: &[u8]) -> Option<Self> {
        let (c4, map, last, opcode, modrm) = (code[0], code[1], code[2], code[3], code[4]);
        if c4 != 0xc4 || map & 0x1f != 2 || last & 0x84 != 0 {
            return None;
        }
        // These bits are stored inverted.
        let extended = |bit: u8| usize::from(map & bit == 0) * 8;
        let (r, x, b) = (extended(0x80), extended(0x40), extended(0x20));
        let reg = usize::from(modrm >> 3 & 7) + r;
        let rm = usize::from(modrm & 7);
        let mut len = 5;
        let operand = if modrm >> 6 == 3 {
            Operand::Register(rm + b)
        } else {
            let (mut base, mut index) = (rm + b, None);
            if rm == 4 {
                let sib = code[len];
                len += 1;
                base = usize::from(sib & 7) + b;
                let number = usize::from(sib >> 3 & 7) + x;
                index = (number != 4).then_some((number, sib >> 6));
            }
            let displacement = match modrm >> 6 {
                // No base, or relative to the instruction: not ours.
                0 if base & 7 == 5 => return None,
                0 => 0,
                1 => {
                    len += 1;
                    i64::from(code[len - 1] as i8)
                }
                _ => {
                    len += 4;
                    i64::from(i32::from_le_bytes(code[len - 4..len].try_into().ok()?))
                }
            };
            Operand::Memory {
                base,
                index,
                displacement,
            }
        };
        let known = matches!(
            (opcode, last & 3, &operand),
            (0x49, 0, _)
                | (0x49, 3, Operand::Register(_))
                | (0x4b, 2 | 3, Operand::Memory { .. })
                | (0x5c, 2, Operand::Register(_))
                | (0x5e, 1, Operand::Register(_))
        );
        known.then_some(Instruction {
            opcode,
            prefix: last & 3,
            reg,
            vvvv: usize::from(!last >> 3 & 15),
            operand,
            len,
        })
    }

    /// # Safety
    /// The instruction may be executed with these registers, but for the processor that lacks it.
    unsafe fn execute(&self, registers: &[u64; 23]) {
        TILES.with_borrow_mut(|tiles| match (&self.operand, self.opcode, self.prefix) {
            (Operand::Register(0), 0x49, 0) => tiles.release(),
            (Operand::Register(0), 0x49, _) => tiles.zero(self.reg),
            (&Operand::Register(a), 0x5c | 0x5e, _) => {
                let (a, b) = if SWAPPED.get() {
                    (self.vvvv, a)
                } else {
                    (a, self.vvvv)
                };
                match self.opcode {
                    0x5c => tiles.dot_bf16(self.reg, a, b),
                    _ => tiles.dot_bytes(self.reg, a, b),
                }
            }
            (
                &Operand::Memory {
                    base,
                    index,
                    displacement,
                },
                opcode,
                prefix,
            ) => {
                let start = registers[NUMBERED[base]].wrapping_add_signed(displacement) as *mut u8;
                let stride =
                    index.map_or(0, |(number, scale)| registers[NUMBERED[number]] << scale);
                let stride = stride as usize;
                // SAFETY: the caller's promise.
                unsafe {
                    match (opcode, prefix) {
                        (0x49, _) => {
                            tiles.configure(&*start.wrapping_add(stride).cast::<[u8; 64]>());
                        }
                        (_, 2) => tiles.store(self.reg, start, stride),
                        _ => tiles.load(self.reg, start, stride),
                    }
                }
            }
            (Operand::Register(_), ..) => panic!("not an instruction: {self:?}"),
        });
    }
}

/// The bytes are what binutils assembles.
#[test]
fn instructions_are_decoded() {
    let decode = |bytes: &[u8]| {
        let mut code = [0; 10];
        code[..bytes.len()].copy_from_slice(bytes);
        Instruction::decode(&code)
    };
    // tdpbf16ps tmm3, tmm4, tmm5
    let dot = decode(&[0xc4, 0xe2, 0x52, 0x5c, 0xdc]).unwrap();
    assert_eq!((dot.reg, dot.vvvv, dot.len), (3, 5, 5));
    assert_eq!(dot.operand, Operand::Register(4));
    // tdpbusd tmm3, tmm4, tmm5
    let dot = decode(&[0xc4, 0xe2, 0x51, 0x5e, 0xdc]).unwrap();
    assert_eq!((dot.opcode, dot.reg, dot.vvvv, dot.len), (0x5e, 3, 5, 5));
    assert_eq!(dot.operand, Operand::Register(4));
    // tdpbssd, tdpbsud, tdpbuud: other signs
    for signs in [0x53, 0x52, 0x50] {
        assert_eq!(decode(&[0xc4, 0xe2, signs, 0x5e, 0xdc]), None);
    }
    // tileloadd tmm5, [r12 + r13*1 + 0x40]
    let load = decode(&[0xc4, 0x82, 0x7b, 0x4b, 0x6c, 0x2c, 0x40]).unwrap();
    let at = |base, index, displacement| Operand::Memory {
        base,
        index,
        displacement,
    };
    assert_eq!((load.reg, load.prefix, load.len), (5, 3, 7));
    assert_eq!(load.operand, at(12, Some((13, 0)), 0x40));
    // tilestored [rsi + r8*1 + 0x840], tmm3
    let code = [0xc4, 0xa2, 0x7a, 0x4b, 0x9c, 0x06, 0x40, 0x08, 0, 0];
    let store = decode(&code).unwrap();
    assert_eq!((store.reg, store.prefix, store.len), (3, 2, 10));
    assert_eq!(store.operand, at(6, Some((8, 0)), 0x840));
    // ldtilecfg [r12]
    let configure = decode(&[0xc4, 0xc2, 0x78, 0x49, 0x04, 0x24]).unwrap();
    assert_eq!((configure.prefix, configure.len), (0, 6));
    assert_eq!(configure.operand, at(12, None, 0));
    // vpdpbusd xmm0, xmm1, xmm2; ud2
    assert_eq!(decode(&[0xc4, 0xe2, 0x71, 0x50, 0xc2]), None);
    assert_eq!(decode(&[0x0f, 0x0b]), None);
}
