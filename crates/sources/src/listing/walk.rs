//! A walk through the folders of a store by several threads, whose finds come in the order of keys.
//!
//! Folders are nodes of a tree; a node's items, objects and folders, stand in key order. One thread, the caller's, takes the
//! items in order, and lists the folder that it has come to by itself unless a lister has begun it. So it never waits for a
//! lister that waits for it. Listers take the first folders behind; once so much is found that was not taken yet, they wait.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use flowquet_format::Descent;
use flowquet_store::{Entry, ObjectMeta, Store};
use flowquet_table::RECORDS;

use crate::error::Error;
use crate::listing::hidden::is_hidden;

/// Prefixes that are listed ahead of the one whose turn it is.
const LISTERS: usize = 32;

/// More folders than this side by side are no layout of AWS's: what is below is listed whole.
const FOLDERS_MAX: usize = 2_000;

/// Most objects of a level that are looked at before its folders are entered: a page. Levels of AWS's layout hold none.
const LEVEL_OBJECTS_MAX: usize = 1_000;

/// Objects handed over at once.
const BATCH: usize = 1_000;

/// Objects and folders that are found ahead of their turn. 32 listers are a page each ahead of 32 pages that were found: enough
/// to keep the one who takes them busy, and with 300 bytes an object about 20 MB.
const AHEAD: usize = 65_536;

/// What a walk finds.
#[derive(Debug)]
pub(crate) enum Found {
    /// An object, by its key in the store.
    Object(ObjectMeta),
    /// All that follows below this prefix is a table's.
    Table(String),
    /// A name that is no object.
    Unlistable(flowquet_store::Error),
}

#[derive(Debug)]
enum Item {
    Found(Vec<Found>),
    Folder(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Begun,
    Done,
}

#[derive(Debug)]
struct Node {
    prefix: String,
    depth: usize,
    items: VecDeque<Item>,
    state: State,
}

#[derive(Default)]
struct Tree {
    nodes: HashMap<usize, Node>,
    next: usize,
    /// Folders that nobody has begun to list, in key order.
    waiting: BTreeMap<String, usize>,
    /// Objects and folders that were found and not taken.
    ahead: usize,
    /// The node whose next item the taker waits for.
    awaited: Option<usize>,
    error: Option<Error>,
    is_over: bool,
}

/// A walk below a prefix.
pub(crate) struct Walk<'a> {
    store: &'a dyn Store,
    descent: &'a (dyn Fn(&str, usize) -> Descent + Sync),
    is_stopped: &'a (dyn Fn() -> bool + Sync),
    tree: Mutex<Tree>,
    /// There is a folder to list, or room for what is found.
    room: Condvar,
    /// The awaited node has items, or is done.
    arrived: Condvar,
}

/// Ends the listers of a walk when it is dropped.
struct Over<'w, 'a>(&'w Walk<'a>);

impl Drop for Over<'_, '_> {
    fn drop(&mut self) {
        self.0.lock().is_over = true;
        self.0.room.notify_all();
    }
}

type Take<'t> = &'t mut dyn FnMut(Found) -> Result<(), Error>;

impl<'a> Walk<'a> {
    /// A walk that enters folders as `descent` says, by prefix and depth below the root.
    pub(crate) fn new(
        store: &'a dyn Store,
        descent: &'a (dyn Fn(&str, usize) -> Descent + Sync),
        is_stopped: &'a (dyn Fn() -> bool + Sync),
    ) -> Self {
        let (room, arrived) = (Condvar::new(), Condvar::new());
        Self { store, descent, is_stopped, tree: Mutex::default(), room, arrived }
    }

    /// Gives `take` what lies below `root`, which is empty or ends in a slash, in key order.
    pub(crate) fn run(self, root: String, take: Take<'_>) -> Result<(), Error> {
        let node = Node { prefix: root.clone(), depth: 0, items: VecDeque::new(), state: State::Waiting };
        {
            let mut tree = self.lock();
            tree.nodes.insert(0, node);
            tree.waiting.insert(root, 0);
            tree.next = 1;
        }
        std::thread::scope(|scope| {
            for _ in 0..LISTERS {
                scope.spawn(|| self.work());
            }
            // However the taker ends, listers do not wait for it any more.
            let _over = Over(&self);
            self.take_node(0, take)
        })
    }

    fn lock(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes all items of a node and of those below it, listing what nobody lists.
    fn take_node(&self, id: usize, take: Take<'_>) -> Result<(), Error> {
        loop {
            self.take_ready(id, take)?;
            let mut tree = self.lock();
            if let Some(error) = tree.error.take() {
                return Err(error);
            }
            let Some(node) = tree.nodes.get_mut(&id) else { return Ok(()) };
            match node.state {
                _ if !node.items.is_empty() => {}
                State::Done => {
                    tree.nodes.remove(&id);
                    return Ok(());
                }
                State::Waiting => {
                    node.state = State::Begun;
                    let (prefix, depth) = (node.prefix.clone(), node.depth);
                    tree.waiting.remove(&prefix);
                    drop(tree);
                    self.list(&prefix, depth, &mut |items| {
                        self.add(&mut self.lock(), id, items);
                        self.room.notify_all();
                        self.take_ready(id, take)
                    })?;
                    self.end(&mut self.lock(), id);
                }
                State::Begun => {
                    tree.awaited = Some(id);
                    // Its lister may wait for room.
                    if tree.ahead >= AHEAD {
                        self.room.notify_all();
                    }
                    let mut tree = self.arrived.wait(tree).unwrap_or_else(PoisonError::into_inner);
                    tree.awaited = None;
                }
            }
        }
    }

    /// Takes the items that a node has by now.
    fn take_ready(&self, id: usize, take: Take<'_>) -> Result<(), Error> {
        loop {
            let mut tree = self.lock();
            let Some(item) = tree.nodes.get_mut(&id).and_then(|n| n.items.pop_front()) else { return Ok(()) };
            let had_room = tree.ahead < AHEAD;
            tree.ahead -= weight(&item);
            if !had_room && tree.ahead < AHEAD {
                self.room.notify_all();
            }
            drop(tree);
            match item {
                Item::Found(found) => found.into_iter().try_for_each(&mut *take)?,
                Item::Folder(child) => self.take_node(child, take)?,
            }
        }
    }

    /// What a lister does.
    fn work(&self) {
        let mut tree = self.lock();
        loop {
            if tree.is_over {
                return;
            }
            if tree.ahead < AHEAD
                && let Some((prefix, id)) = tree.waiting.pop_first()
            {
                let Some(node) = tree.nodes.get_mut(&id) else { continue };
                node.state = State::Begun;
                let depth = node.depth;
                drop(tree);
                let listed = self.list(&prefix, depth, &mut |items| self.offer(id, items));
                tree = self.lock();
                // A folder that could not be listed to its end is never done: what is missing would not be missed.
                if let Err(error) = listed {
                    tree.error.get_or_insert(error);
                    tree.awaited = None;
                    self.arrived.notify_all();
                    return;
                }
                self.end(&mut tree, id);
                continue;
            }
            tree = self.room.wait(tree).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Adds what a lister found, once there is room for it or the taker waits for it.
    fn offer(&self, id: usize, items: Vec<Batch>) -> Result<(), Error> {
        let mut tree = self.lock();
        while tree.ahead >= AHEAD && tree.awaited != Some(id) && !tree.is_over && tree.error.is_none() {
            tree = self.room.wait(tree).unwrap_or_else(PoisonError::into_inner);
        }
        if tree.is_over || tree.error.is_some() {
            return Err(Error::Interrupted);
        }
        let has_folders = self.add(&mut tree, id, items);
        if tree.awaited == Some(id) {
            self.arrived.notify_all();
        }
        if has_folders {
            self.room.notify_all();
        }
        Ok(())
    }

    fn add(&self, tree: &mut Tree, id: usize, batches: Vec<Batch>) -> bool {
        let depth = tree.nodes.get(&id).map_or(0, |n| n.depth) + 1;
        let mut has_folders = false;
        for batch in batches {
            let item = match batch {
                Batch::Found(found) => Item::Found(found),
                Batch::Folder(prefix) => {
                    let child = tree.next;
                    tree.next += 1;
                    tree.waiting.insert(prefix.clone(), child);
                    let node = Node { prefix, depth, items: VecDeque::new(), state: State::Waiting };
                    tree.nodes.insert(child, node);
                    has_folders = true;
                    Item::Folder(child)
                }
            };
            tree.ahead += weight(&item);
            if let Some(node) = tree.nodes.get_mut(&id) {
                node.items.push_back(item);
            }
        }
        has_folders
    }

    fn end(&self, tree: &mut Tree, id: usize) {
        if let Some(node) = tree.nodes.get_mut(&id) {
            node.state = State::Done;
        }
        if tree.awaited == Some(id) {
            self.arrived.notify_all();
        }
    }

    /// Lists a folder, in key order.
    fn list(
        &self,
        prefix: &str,
        depth: usize,
        give: &mut dyn FnMut(Vec<Batch>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if (self.is_stopped)() {
            return Err(Error::Interrupted);
        }
        match (self.descent)(prefix, depth) {
            Descent::Skip => Ok(()),
            Descent::Whole => self.flat(prefix, "", give),
            Descent::Folders => self.level(prefix, give),
        }
    }

    /// Looks at a level. What is found there waits until the level is known to be neither a table's nor too wide; a level with
    /// very many objects is handed on as it comes.
    fn level(
        &self,
        prefix: &str,
        give: &mut dyn FnMut(Vec<Batch>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let records = format!("{prefix}{RECORDS}/");
        let (mut batches, mut objects, mut folders) = (Vec::<Batch>::new(), 0, 0);
        // Where a listing of all that is below is to begin.
        let mut from: Option<String> = None;
        let (mut rest, mut is_table) = (None, false);
        let mut result = Ok(());
        let walked = self.store.walk(prefix, "", true, &mut |entry| {
            let found = match entry {
                Entry::Folder(folder) => {
                    folders += 1;
                    is_table = folder == records;
                    let is_hidden = is_hidden(&folder[prefix.len()..]);
                    let from = from.get_or_insert_with(|| folder.clone());
                    if is_table || folders > FOLDERS_MAX {
                        rest = Some(std::mem::take(from));
                        return ControlFlow::Break(());
                    }
                    // A store may repeat a folder where one page ends and the next begins.
                    let is_repeated = matches!(batches.last(), Some(Batch::Folder(last)) if *last == folder);
                    if !is_hidden && !is_repeated {
                        batches.push(Batch::Folder(folder));
                    }
                    return ControlFlow::Continue(());
                }
                Entry::Object(object) => Found::Object(object),
                Entry::Unlistable(error) => Found::Unlistable(error),
            };
            if let Found::Object(object) = &found {
                from.get_or_insert_with(|| object.key.clone());
            }
            objects += 1;
            match batches.last_mut() {
                Some(Batch::Found(batch)) => batch.push(found),
                _ => batches.push(Batch::Found(vec![found])),
            }
            if objects >= LEVEL_OBJECTS_MAX {
                (objects, from) = (0, None);
                result = give(std::mem::take(&mut batches));
            }
            if result.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        result?;
        walked?;
        let Some(from) = rest else { return give(batches) };
        drop(batches);
        if is_table {
            give(vec![Batch::Found(vec![Found::Table(prefix.to_owned())])])?;
        }
        self.flat(prefix, &from, give)
    }

    /// Lists all that lies below a prefix, from a key on.
    fn flat(
        &self,
        prefix: &str,
        from: &str,
        give: &mut dyn FnMut(Vec<Batch>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut batch = Vec::with_capacity(BATCH);
        let mut result = Ok(());
        self.store.walk(prefix, from, false, &mut |entry| {
            match entry {
                Entry::Folder(_) => {}
                Entry::Object(object) => batch.push(Found::Object(object)),
                Entry::Unlistable(error) => batch.push(Found::Unlistable(error)),
            }
            if batch.len() == BATCH {
                result = give(vec![Batch::Found(std::mem::replace(&mut batch, Vec::with_capacity(BATCH)))]);
            }
            if result.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        result?;
        if batch.is_empty() { Ok(()) } else { give(vec![Batch::Found(batch)]) }
    }
}

/// Finds of a folder, in key order.
enum Batch {
    Found(Vec<Found>),
    Folder(String),
}

fn weight(item: &Item) -> usize {
    if let Item::Found(found) = item { found.len() } else { 1 }
}

#[cfg(test)]
pub(super) mod tests;
