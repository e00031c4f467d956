//! The opcodes by which a pickle would import, call and make things.

use super::machine::{Done, Machine};
use super::{Global, Id, Node, StorageRef, TensorRef};

/// What is copied from values that a pickle may refer to again and again is short, so that the memory taken is a small
/// multiple of its length.
const MAX_NAME: usize = 256;
const MAX_DIMENSIONS: usize = 8;

impl Machine<'_> {
    /// Opcodes that import a name, call one or make an object.
    pub(super) fn object(&mut self, op: u8) -> Done {
        match op {
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Node::Global(Global::of(module, name)))
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Node::Str(module), Node::Str(name)) = (&self.nodes[module], &self.nodes[name])
                else {
                    return Err(self.error("an import of something that is no name"));
                };
                if module.len() + name.len() > MAX_NAME {
                    return Err(self.error("an overlong name"));
                }
                let global = Global::of(module, name);
                self.push(Node::Global(global))
            }
            b'R' | 0x81 => {
                let (arguments, class) = (self.pop()?, self.pop()?);
                self.call(class, arguments)
            }
            0x92 => {
                let (named, arguments, class) = (self.pop()?, self.pop()?, self.pop()?);
                self.inert(class, vec![arguments, named])
            }
            b'o' => {
                let mut parts = self.pop_mark()?;
                if parts.is_empty() {
                    return Err(self.error("an object without a class"));
                }
                let class = parts.remove(0);
                self.inert(class, parts)
            }
            b'i' => {
                let (module, name) = (self.line()?, self.line()?);
                let parts = self.pop_mark()?;
                self.nodes.push(Node::Global(Global::of(module, name)));
                self.inert(self.nodes.len() - 1, parts)
            }
            b'b' => {
                let (state, object) = (self.pop()?, self.top()?);
                self.build(object, state)
            }
            b'Q' => {
                let id = self.pop()?;
                self.storage(id)
            }
            other => Err(self.error(format!("opcode {other:#04x}, which is not read"))),
        }
    }

    fn inert(&mut self, class: Id, parts: Vec<Id>) -> Done {
        self.push(Node::Object {
            class,
            parts,
            state: None,
        })
    }

    fn build(&mut self, object: Id, state: Id) -> Done {
        match &mut self.nodes[object] {
            Node::Object { state: of, .. } => *of = Some(state),
            // The attributes of a dictionary, such as `_metadata` of a state dict, are no part of it.
            Node::Dict(_) | Node::Tensor(_) => {}
            _ => return Err(self.error("a state for something that is no object")),
        }
        Ok(())
    }

    /// What a call of one of the known names would give; of any other, an inert object.
    fn call(&mut self, class: Id, arguments: Id) -> Done {
        let Node::Seq(parts) = &self.nodes[arguments] else {
            return Err(self.error("a call without a tuple of arguments"));
        };
        match &self.nodes[class] {
            Node::Global(Global::OrderedDict) if parts.is_empty() => {
                self.push(Node::Dict(Vec::new()))
            }
            Node::Global(Global::RebuildTensor) => {
                let tensor = self.tensor(parts);
                let tensor = tensor.ok_or_else(|| self.error("a malformed tensor"))?;
                self.push(Node::Tensor(tensor))
            }
            Node::Global(Global::RebuildParameter) => match parts.first() {
                Some(&id) if matches!(self.nodes[id], Node::Tensor(_)) => {
                    self.stack.push(id);
                    Ok(())
                }
                _ => Err(self.error("a parameter that is no tensor")),
            },
            _ => self.inert(class, vec![arguments]),
        }
    }

    /// `('storage', torch.XStorage, key, device, length)`; the length is checked against the file instead.
    fn storage(&mut self, id: Id) -> Done {
        let parts = match &self.nodes[id] {
            Node::Seq(parts) if parts.len() >= 3 => parts,
            _ => return Err(self.error("a malformed storage")),
        };
        let at = |n: usize| &self.nodes[parts[n]];
        match (at(0), at(1), at(2)) {
            (Node::Str(tag), Node::Global(Global::Storage(element)), Node::Str(key))
                if tag == "storage" && key.len() <= MAX_NAME =>
            {
                let (key, element) = (key.clone(), element.clone());
                self.push(Node::Storage(StorageRef { key, element }))
            }
            (_, Node::Global(Global::Foreign(name)), _) => {
                Err(self.error(format!("a storage of type `{name}`, which is not read,")))
            }
            _ => Err(self.error("a malformed storage")),
        }
    }

    /// `(storage, offset, shape, strides, requires_grad, hooks)`
    fn tensor(&self, arguments: &[Id]) -> Option<TensorRef> {
        let [storage, offset, shape, strides, ..] = arguments else {
            return None;
        };
        let Node::Storage(storage) = &self.nodes[*storage] else {
            return None;
        };
        let size = |id: &Id| match self.nodes[*id] {
            Node::Int(value) => usize::try_from(value).ok(),
            _ => None,
        };
        let sizes = |id: &Id| match &self.nodes[*id] {
            Node::Seq(items) if items.len() <= MAX_DIMENSIONS => {
                items.iter().map(size).collect::<Option<Vec<_>>>()
            }
            _ => None,
        };
        Some(TensorRef {
            storage: storage.clone(),
            offset: size(offset)?,
            shape: sizes(shape)?,
            strides: sizes(strides)?,
        })
    }
}
