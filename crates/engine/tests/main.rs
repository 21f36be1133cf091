//! The engine as those who call it see it. One program: each that is linked holds the whole of the workspace and of what it rests on.

mod beside;
mod copies;
mod corrected;
mod faults;
mod hostile;
mod losses;
mod meanwhile;
mod records;
mod repairs;
mod returns;
mod uncounted;
mod verify;
mod verify_rows;
mod world;
