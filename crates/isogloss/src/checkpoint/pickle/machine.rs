use std::collections::HashMap;

use super::{Id, Node, Pickle, PickleError};

/// Reads a pickle to its end.
pub(in super::super) fn parse(bytes: &[u8]) -> Result<Pickle, PickleError> {
    let mut machine = Machine {
        bytes,
        at: 0,
        nodes: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    while !machine.step()? {}
    let root = machine.pop()?;
    Ok(Pickle {
        nodes: machine.nodes,
        root,
    })
}

pub(super) struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    pub(super) nodes: Vec<Node>,
    pub(super) stack: Vec<Id>,
    /// Heights of the stack at which its marks stand.
    marks: Vec<usize>,
    memo: HashMap<usize, Id>,
}

pub(super) type Done = Result<(), PickleError>;

impl<'a> Machine<'a> {
    pub(super) fn error(&self, problem: impl Into<String>) -> PickleError {
        PickleError {
            at: self.at,
            problem: problem.into(),
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], PickleError> {
        let rest = &self.bytes[self.at..];
        let taken = rest
            .get(..count)
            .ok_or_else(|| self.error("unexpected end"))?;
        self.at += count;
        Ok(taken)
    }

    /// An unsigned little-endian number of `N` bytes; one that no `usize` holds is an error.
    fn number<const N: usize>(&mut self) -> Result<usize, PickleError> {
        let mut wide = [0; 8];
        wide[..N].copy_from_slice(self.take(N)?);
        usize::try_from(u64::from_le_bytes(wide)).map_err(|_| self.error("a length is too large"))
    }

    pub(super) fn line(&mut self) -> Result<&'a str, PickleError> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|&b| b == b'\n');
        let end = end.ok_or_else(|| self.error("unexpected end of a line"))?;
        let line = self.take(end + 1)?;
        std::str::from_utf8(&line[..end]).map_err(|_| self.error("a line is no UTF-8"))
    }

    fn string<const N: usize>(&mut self) -> Done {
        let length = self.number::<N>()?;
        let bytes = self.take(length)?;
        // Texts of Python 2 may have any encoding; those that are no UTF-8 are no names of tensors.
        let node = match std::str::from_utf8(bytes) {
            Ok(text) => Node::Str(text.to_owned()),
            Err(_) => Node::Opaque,
        };
        self.push(node)
    }

    fn opaque<const N: usize>(&mut self) -> Done {
        let length = self.number::<N>()?;
        self.take(length)?;
        self.push(Node::Opaque)
    }

    fn long<const N: usize>(&mut self) -> Done {
        let length = self.number::<N>()?;
        let digits = self.take(length)?;
        let negative = digits.last().is_some_and(|b| b & 0x80 != 0);
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        if length > wide.len() {
            return self.push(Node::Opaque);
        }
        wide[..length].copy_from_slice(digits);
        self.push(Node::Int(i64::from_le_bytes(wide)))
    }

    pub(super) fn push(&mut self, node: Node) -> Done {
        self.nodes.push(node);
        self.stack.push(self.nodes.len() - 1);
        Ok(())
    }

    /// Takes the top of the stack, above the last mark.
    pub(super) fn pop(&mut self) -> Result<Id, PickleError> {
        if self.stack.len() <= self.marks.last().copied().unwrap_or(0) {
            return Err(self.error("an empty stack"));
        }
        self.stack.pop().ok_or_else(|| self.error("an empty stack"))
    }

    pub(super) fn top(&mut self) -> Result<Id, PickleError> {
        let id = self.pop()?;
        self.stack.push(id);
        Ok(id)
    }

    /// Takes everything above the last mark, and the mark.
    pub(super) fn pop_mark(&mut self) -> Result<Vec<Id>, PickleError> {
        let mark = self.marks.pop().ok_or_else(|| self.error("no mark"))?;
        Ok(self.stack.split_off(mark))
    }

    fn tuple(&mut self, count: usize) -> Done {
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(self.pop()?);
        }
        items.reverse();
        self.push(Node::Seq(items))
    }

    fn recall(&mut self, key: usize) -> Done {
        let id = self.memo.get(&key).copied();
        let id = id.ok_or_else(|| self.error(format!("nothing is remembered under {key}")))?;
        self.stack.push(id);
        Ok(())
    }

    fn remember(&mut self, key: usize) -> Done {
        let id = self.top()?;
        self.memo.insert(key, id);
        Ok(())
    }

    /// One opcode; true at the end of the pickle.
    fn step(&mut self) -> Result<bool, PickleError> {
        let [op] = *self.take(1)? else {
            return Err(self.error("unexpected end"));
        };
        match op {
            b'.' => return Ok(true),
            0x80 => drop(self.take(1)?),
            0x95 => drop(self.take(8)?),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_mark()?),
            b'2' => {
                let id = self.top()?;
                self.stack.push(id);
            }
            b'p' => {
                let key = self.line_number()?;
                self.remember(key)?;
            }
            b'q' | b'r' => {
                let key = self.index(op == b'q')?;
                self.remember(key)?;
            }
            0x94 => self.remember(self.memo.len())?,
            b'g' => {
                let key = self.line_number()?;
                self.recall(key)?;
            }
            b'h' | b'j' => {
                let key = self.index(op == b'h')?;
                self.recall(key)?;
            }
            _ => self.value(op)?,
        }
        Ok(false)
    }

    fn index(&mut self, short: bool) -> Result<usize, PickleError> {
        if short {
            self.number::<1>()
        } else {
            self.number::<4>()
        }
    }

    fn line_number(&mut self) -> Result<usize, PickleError> {
        let line = self.line()?;
        line.trim()
            .parse()
            .map_err(|_| self.error(format!("`{line}` is no index")))
    }

    /// Opcodes that make a plain value.
    fn value(&mut self, op: u8) -> Done {
        match op {
            b'N' => self.push(Node::None),
            0x88 => self.push(Node::Bool(true)),
            0x89 => self.push(Node::Bool(false)),
            b'K' => {
                let value = self.number::<1>()?;
                self.push(Node::Int(value as i64))
            }
            b'M' => {
                let value = self.number::<2>()?;
                self.push(Node::Int(value as i64))
            }
            b'J' => {
                let value = self.number::<4>()? as u32;
                self.push(Node::Int(i64::from(value.cast_signed())))
            }
            b'G' => {
                let mut wide = [0; 8];
                wide.copy_from_slice(self.take(8)?);
                self.push(Node::Float(f64::from_be_bytes(wide)))
            }
            b'I' | b'L' | b'F' | b'S' | b'V' => {
                let line = self.line()?;
                self.push(plain(op, line))
            }
            0x8a => self.long::<1>(),
            0x8b => self.long::<4>(),
            b'U' | 0x8c => self.string::<1>(),
            b'T' | b'X' => self.string::<4>(),
            0x8d => self.string::<8>(),
            b'C' => self.opaque::<1>(),
            b'B' => self.opaque::<4>(),
            0x8e | 0x96 => self.opaque::<8>(),
            _ => self.collection(op),
        }
    }

    /// Opcodes that make or fill a collection.
    fn collection(&mut self, op: u8) -> Done {
        match op {
            b']' | b')' | 0x8f => self.push(Node::Seq(Vec::new())),
            b'}' => self.push(Node::Dict(Vec::new())),
            0x85 => self.tuple(1),
            0x86 => self.tuple(2),
            0x87 => self.tuple(3),
            b't' | b'l' | 0x91 => {
                let items = self.pop_mark()?;
                self.push(Node::Seq(items))
            }
            b'd' => {
                let entries = self.pop_mark()?;
                self.push(Node::Dict(Vec::new()))?;
                self.extend(entries, true)
            }
            b'a' => {
                let item = self.pop()?;
                self.extend(vec![item], false)
            }
            b'e' | 0x90 => {
                let items = self.pop_mark()?;
                self.extend(items, false)
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.extend(vec![key, value], true)
            }
            b'u' => {
                let entries = self.pop_mark()?;
                self.extend(entries, true)
            }
            _ => self.object(op),
        }
    }

    /// Adds to the collection on top of the stack.
    fn extend(&mut self, items: Vec<Id>, pairs: bool) -> Done {
        let top = self.top()?;
        match &mut self.nodes[top] {
            Node::Dict(entries) if pairs && items.len().is_multiple_of(2) => {
                entries.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1])));
            }
            Node::Seq(all) if !pairs => all.extend(items),
            Node::Object { parts, .. } => parts.extend(items),
            _ => return Err(self.error("items for something that is no collection")),
        }
        Ok(())
    }
}

/// A value of protocol 0, which is a line of text.
fn plain(op: u8, line: &str) -> Node {
    let text = line.trim();
    match op {
        b'I' if text == "00" => Node::Bool(false),
        b'I' if text == "01" => Node::Bool(true),
        b'I' | b'L' => text
            .trim_end_matches('L')
            .parse()
            .map_or(Node::Opaque, Node::Int),
        b'F' => text.parse().map_or(Node::Opaque, Node::Float),
        // Escapes are left as they are: no name of a tensor has any.
        b'S' => Node::Str(text.trim_matches(['\'', '"']).to_owned()),
        _ => Node::Str(line.to_owned()),
    }
}
