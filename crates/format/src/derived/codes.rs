//! Numbers of AWS's and the transport protocols' own: flags, paths, sides.

/// The number of TCP.
pub const PROTOCOL_TCP: u8 = 6;

/// The flags that tell who began: SYN (2) alone is sent by the side that begins, SYN with ACK (16) by the other one (RFC 9293, 3.5). AWS counts an ACK
/// only in a SYN-ACK, so that neither is made up by the packets of an interval that follow.
pub const FLAGS_SYN_ACK: u8 = 2 | 16;

/// Largest of the system ports (RFC 6335, 6), which clients do not take: AWS names 1024 to 65535 as the range of ephemeral ports
/// (docs.aws.amazon.com/vpc/latest/userguide/custom-network-acl.html).
const SYSTEM_PORT_MAX: u16 = 1023;

/// The port that FTP servers begin data connections from: a system port that does not tell.
const FTP_DATA: u16 = 20;

/// What `initiator` says: the source began, the destination began.
pub const SIDES: [&str; 2] = ["src", "dst"];

/// What `direction` says.
pub const DIRECTIONS: [&str; 2] = ["ingress", "egress"];

/// Flags in the order in which they are named: as a connection goes.
const FLAGS: [(u8, &str); 8] =
    [(2, "SYN"), (16, "ACK"), (1, "FIN"), (4, "RST"), (8, "PSH"), (32, "URG"), (64, "ECE"), (128, "CWR")];

/// The names of the flags of a mask, joined by `+`.
///
/// | mask | names |
/// |---|---|
/// | 0 | an empty text: AWS records neither ACK nor PSH alone |
/// | 2 | SYN |
/// | 3 | SYN+FIN: a short connection, all flags of the interval being in one mask |
/// | 18 | SYN+ACK |
/// | 19 | SYN+ACK+FIN |
pub fn tcp_flag_names(mask: u8) -> String {
    let names: Vec<&str> = FLAGS.iter().filter(|(flag, _)| mask & flag != 0).map(|(_, name)| *name).collect();
    names.join("+")
}

/// The name of a `traffic-path`. What 6 is has changed in AWS's documentation, which a record cannot tell.
pub fn traffic_path_name(path: i32) -> Option<&'static str> {
    Some(match path {
        1 => "same-vpc",
        2 => "internet-gateway-or-gateway-endpoint",
        3 => "virtual-private-gateway",
        4 => "peering-in-region",
        5 => "peering-across-regions",
        6 => "local-gateway-or-zone",
        7 => "gateway-endpoint",
        8 => "internet-gateway",
        _ => return None,
    })
}

/// The place in [`SIDES`] of the side that began, where one port is a system port and the other cannot be.
pub fn began_by_ports(src: u16, dst: u16) -> Option<usize> {
    let serves = |port: u16| (1..=SYSTEM_PORT_MAX).contains(&port);
    match (serves(src), serves(dst)) {
        (false, true) if src != 0 && dst != FTP_DATA => Some(0),
        (true, false) if dst != 0 && src != FTP_DATA => Some(1),
        _ => None,
    }
}

/// The place in [`DIRECTIONS`] that is told by whether the source and the destination of the packet are others than those of the interface: AWS puts
/// the interface's own address for the source of what leaves it, and for the destination of what enters.
pub fn direction_of(is_src_other: bool, is_dst_other: bool) -> Option<usize> {
    match (is_src_other, is_dst_other) {
        (false, true) => Some(0),
        (true, false) => Some(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_named_as_a_connection_goes() {
        for (mask, names) in [
            (0, ""),
            (1, "FIN"),
            (2, "SYN"),
            (3, "SYN+FIN"),
            (4, "RST"),
            (7, "SYN+FIN+RST"),
            (18, "SYN+ACK"),
            (19, "SYN+ACK+FIN"),
            (255, "SYN+ACK+FIN+RST+PSH+URG+ECE+CWR"),
        ] {
            assert_eq!(tcp_flag_names(mask), names);
        }
    }

    #[test]
    fn ports_tell_where_one_alone_is_a_system_port() {
        for (src, dst, expected) in [
            (20641, 22, Some(0)),
            (22, 20641, Some(1)),
            (1024, 1023, Some(0)),
            (1023, 1023, None),
            (43416, 5001, None),
            (0, 53, None),
            (53, 0, None),
            (20, 40000, None),
            (40000, 20, None),
        ] {
            assert_eq!(began_by_ports(src, dst), expected, "{src} {dst}");
        }
    }

    #[test]
    fn paths_and_directions() {
        assert_eq!(
            (0..10).filter(|n| traffic_path_name(*n).is_some()).collect::<Vec<_>>(),
            (1..9).collect::<Vec<_>>()
        );
        assert_eq!(direction_of(true, true), None);
        assert_eq!(direction_of(false, true).map(|d| DIRECTIONS[d]), Some("ingress"));
        assert_eq!(direction_of(true, false).map(|d| DIRECTIONS[d]), Some("egress"));
    }
}
