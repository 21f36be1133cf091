//! The rules of derived columns, value by value. Whoever computes columns makes tables of them.

mod address;
mod codes;
mod registry;
mod scope;

pub use address::parsed_address;
pub use codes::{
    DIRECTIONS, FLAGS_SYN_ACK, PROTOCOL_TCP, SIDES, began_by_ports, direction_of, tcp_flag_names,
    traffic_path_name,
};
pub use registry::{Services, protocol_name};
pub use scope::scope_of;
