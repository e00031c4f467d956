//! A reader of the pickles in which PyTorch describes tensors.
//!
//! A pickle is a program for a stack machine that may import and call anything. This machine calls nothing: the few
//! names that describe tensors and dictionaries are known to it, any other is kept as inert data, under its name.
//! Opcodes as in Python's `pickletools`, protocols 0 to 5, without the registry of extensions and out-of-band buffers.

mod machine;
mod objects;

use super::raw::Element;

pub(super) use machine::parse;

/// Index of a value in [`Pickle::nodes`]; values refer to each other by it, so that cycles are harmless.
pub(super) type Id = usize;

/// Why a pickle could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{problem} at byte {at} of its pickle")]
pub(super) struct PickleError {
    pub at: usize,
    pub problem: String,
}

/// What a pickle describes.
#[derive(Debug)]
pub(super) struct Pickle {
    pub nodes: Vec<Node>,
    pub root: Id,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(String),
    /// A list, a tuple or a set.
    Seq(Vec<Id>),
    /// A dictionary, ordered or not.
    Dict(Vec<(Id, Id)>),
    Global(Global),
    /// What a call, a class and its state would make: kept, never made.
    Object {
        class: Id,
        parts: Vec<Id>,
        state: Option<Id>,
    },
    Storage(StorageRef),
    Tensor(TensorRef),
    /// Bytes and integers beyond 64 bits: nothing here needs them.
    Opaque,
}

/// A name that a pickle imports.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Global {
    /// `torch._utils._rebuild_tensor_v2`
    RebuildTensor,
    /// `torch._utils._rebuild_parameter`
    RebuildParameter,
    /// `collections.OrderedDict`
    OrderedDict,
    /// `torch.FloatStorage` and its like.
    Storage(Element),
    /// Anything else, as `module.name`.
    Foreign(String),
}

/// Part of the file in which the elements of tensors lie.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct StorageRef {
    pub key: String,
    pub element: Element,
}

/// A view of a storage, unchecked.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TensorRef {
    pub storage: StorageRef,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

impl Global {
    fn of(module: &str, name: &str) -> Global {
        let other = |name: &str| Global::Storage(Element::Other(name.to_owned()));
        match (module, name) {
            ("torch._utils", "_rebuild_tensor_v2") => Global::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Global::RebuildParameter,
            ("collections", "OrderedDict") => Global::OrderedDict,
            ("torch", "FloatStorage") => Global::Storage(Element::F32),
            ("torch", "HalfStorage") => Global::Storage(Element::F16),
            ("torch", "BFloat16Storage") => Global::Storage(Element::Bf16),
            ("torch", "DoubleStorage") => Global::Storage(Element::F64),
            // Counters and versions, which are no weights, may have one of these.
            ("torch", "LongStorage") => other("I64"),
            ("torch", "IntStorage") => other("I32"),
            ("torch", "ShortStorage") => other("I16"),
            ("torch", "CharStorage") => other("I8"),
            ("torch", "BoolStorage") => other("BOOL"),
            ("torch", "ByteStorage") => other("U8"),
            _ => Global::Foreign(format!("{module}.{name}")),
        }
    }
}

impl Pickle {
    /// The text of a node, if it is one.
    pub fn text(&self, id: Id) -> Option<&str> {
        match &self.nodes[id] {
            Node::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The value that a dictionary has for a text.
    pub fn get(&self, dict: Id, key: &str) -> Option<Id> {
        let Node::Dict(entries) = &self.nodes[dict] else {
            return None;
        };
        // The last of several entries for a key is the one that Python would keep.
        let mut latest = entries.iter().rev();
        latest
            .find(|(k, _)| self.text(*k) == Some(key))
            .map(|&(_, v)| v)
    }

    /// Marks everything that can be reached from `from` in `seen`.
    pub fn reach(&self, from: Id, seen: &mut [bool]) {
        let mut todo = vec![from];
        while let Some(id) = todo.pop() {
            if std::mem::replace(&mut seen[id], true) {
                continue;
            }
            match &self.nodes[id] {
                Node::Seq(items) => todo.extend(items),
                Node::Dict(entries) => todo.extend(entries.iter().flat_map(|&(k, v)| [k, v])),
                Node::Object {
                    class,
                    parts,
                    state,
                } => {
                    todo.push(*class);
                    todo.extend(parts);
                    todo.extend(state);
                }
                _ => {}
            }
        }
    }

    /// The first foreign name for which `at` holds.
    pub fn foreign(&self, at: impl Fn(Id) -> bool) -> Option<&str> {
        self.nodes
            .iter()
            .enumerate()
            .find_map(|(id, node)| match node {
                Node::Global(Global::Foreign(name)) if at(id) => Some(name.as_str()),
                _ => None,
            })
    }
}

#[cfg(test)]
mod tests;
