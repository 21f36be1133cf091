//! Made-up flow logs: seeded, in the shapes of real traffic.
//!
//! Flows come in pairs (there and back), most addresses inside are few, those outside are many and drawn unevenly, times
//! lie within five minutes of the object's delivery, and one record in a few hundred is `NODATA`.

use std::fmt::Write as _;

/// Field names of the enriched format that AWS's blog on flow logs prints, in its order.
pub const BLOG_FORMAT: &str = "version vpc-id subnet-id instance-id interface-id account-id type srcaddr dstaddr srcport dstport pkt-srcaddr pkt-dstaddr protocol bytes packets start end action tcp-flags log-status";

/// Field names of the default format.
pub const V2_FORMAT: &str = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status";

/// Field names of all fields up to version 5.
pub const V5_FORMAT: &str = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status vpc-id subnet-id instance-id tcp-flags type pkt-srcaddr pkt-dstaddr region az-id sublocation-type sublocation-id pkt-src-aws-service pkt-dst-aws-service flow-direction traffic-path";

/// SplitMix64: small, seeded, the same on every machine.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A generator that depends on `seed` alone.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`, which is not 0.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(n)) >> 64) as u64
    }

    /// A number below `n` that is small more often than large, as popularity is.
    pub fn uneven(&mut self, n: u64) -> u64 {
        let a = self.below(n);
        let b = self.below(n);
        let c = self.below(n);
        a.min(b).min(c)
    }
}

/// Interfaces that records are of.
const INTERFACES: u64 = 200;

/// What the traffic of made-up records is like.
#[derive(Debug, Clone, Copy)]
pub struct Traffic {
    /// VPCs that the 200 interfaces are in.
    pub vpcs: u64,
    /// Subnets that they are in.
    pub subnets: u64,
    /// Of so many flows one goes through a NAT gateway, so that its addresses differ from those of its packets.
    pub flows_a_nat: u64,
}

impl Default for Traffic {
    fn default() -> Self {
        Self { vpcs: 2, subnets: 6, flows_a_nat: 12 }
    }
}

/// An object to make up.
#[derive(Debug, Clone)]
pub struct Object {
    /// Twelve digits.
    pub account: u64,
    /// Region code.
    pub region: &'static str,
    /// Delivery time, Unix seconds.
    pub delivered_s: i64,
    /// How many records.
    pub records: usize,
    /// Bare field names, separated by blanks.
    pub format: &'static str,
    /// Whether the first line names the fields.
    pub header: bool,
    /// What its records are like.
    pub traffic: Traffic,
}

impl Object {
    /// The object's text. The same `seed` gives the same text.
    pub fn text(&self, seed: u64) -> String {
        let mut random = Random::new(seed);
        let fields: Vec<&str> = self.format.split(' ').collect();
        let mut text = String::with_capacity((self.records + 1) * fields.len() * 11);
        if self.header {
            text.push_str(self.format);
            text.push('\n');
        }
        let mut flow = Flow::new(&mut random, self);
        for i in 0..self.records {
            if i % 2 == 1 {
                flow.turn(&mut random);
            } else {
                flow = Flow::new(&mut random, self);
            }
            for (f, field) in fields.iter().enumerate() {
                if f > 0 {
                    text.push(' ');
                }
                flow.push(field, &mut text, self);
            }
            text.push('\n');
        }
        text
    }
}

struct Flow {
    interface: u64,
    inside: u64,
    outside: String,
    inside_port: u64,
    outside_port: u64,
    protocol: u64,
    packets: u64,
    bytes: u64,
    start: i64,
    end: i64,
    accepted: bool,
    flags: u64,
    outgoing: bool,
    natted: bool,
    no_data: bool,
}

impl Flow {
    fn new(random: &mut Random, object: &Object) -> Self {
        let interface = random.uneven(INTERFACES);
        let protocol = [6, 6, 6, 6, 6, 17, 17, 1][random.below(8) as usize];
        let port = [443, 443, 443, 80, 22, 53, 5432, 3306, 8080, 6379][random.uneven(10) as usize];
        let accepted = random.below(20) > 0;
        let start = object.delivered_s - random.below(300) as i64;
        let host = random.uneven(40_000);
        let mut flow = Self {
            interface,
            inside: interface * 7919 % 4096,
            outside: match host % 5 {
                0 | 1 => format!("10.{}.{}.{}", host % 4, host / 251 % 251, host % 251),
                _ => format!("{}.{}.{}.{}", 3 + host % 190, host / 7 % 256, host / 3 % 256, host % 256),
            },
            inside_port: 32_768 + random.below(28_000),
            outside_port: port,
            protocol,
            packets: 0,
            bytes: 0,
            start,
            end: start + random.below(60) as i64,
            accepted,
            flags: [19, 3, 2, 18, 0, 0, 7, 1][random.uneven(8) as usize],
            outgoing: random.below(2) == 0,
            natted: random.below(object.traffic.flows_a_nat) == 0,
            no_data: random.below(300) == 0,
        };
        flow.count(random);
        flow
    }

    fn count(&mut self, random: &mut Random) {
        let magnitude = [4, 4, 6, 8, 12][random.below(5) as usize];
        self.packets = 1 + random.uneven(1 << magnitude);
        self.bytes = self.packets * (40 + random.uneven(1400)) + random.below(40);
    }

    /// Turns the flow round: what follows is its answer.
    fn turn(&mut self, random: &mut Random) {
        self.outgoing = !self.outgoing;
        self.count(random);
    }

    fn push(&self, field: &str, text: &mut String, object: &Object) {
        let keeps = matches!(
            field,
            "version"
                | "account-id"
                | "interface-id"
                | "start"
                | "end"
                | "log-status"
                | "vpc-id"
                | "subnet-id"
                | "instance-id"
                | "region"
                | "az-id"
        );
        if self.no_data && !keeps {
            text.push('-');
            return;
        }
        let inside = |text: &mut String| write!(text, "10.0.{}.{}", self.inside / 256, self.inside % 256);
        let outside = |text: &mut String| write!(text, "{}", self.outside);
        let gateway = |text: &mut String| write!(text, "10.0.255.{}", self.interface % 4);
        let is_source = self.outgoing;
        let interface = self.interface;
        let scattered = (interface + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let done = match field {
            "version" => write!(
                text,
                "{}",
                if object.format.contains("region") {
                    5
                } else if object.format.contains("vpc-id") {
                    3
                } else {
                    2
                }
            ),
            "account-id" => write!(text, "{:012}", object.account),
            "interface-id" => write!(text, "eni-0{scattered:016x}"),
            "vpc-id" => {
                let vpc = interface * object.traffic.vpcs / INTERFACES;
                write!(text, "vpc-0{:016x}", 0xa1b2_c3d4_e5f6_0718u64 ^ vpc)
            }
            "subnet-id" => write!(
                text,
                "subnet-0{:016x}",
                (scattered % object.traffic.subnets).wrapping_mul(0x0123_4567_89ab_cdef)
            ),
            "instance-id" if interface.is_multiple_of(5) => write!(text, "-"),
            "instance-id" => write!(text, "i-0{:016x}", scattered.rotate_left(17)),
            "srcaddr" if is_source => inside(text),
            "srcaddr" if self.natted => gateway(text),
            "srcaddr" | "pkt-srcaddr" if !is_source => outside(text),
            "dstaddr" if !is_source => inside(text),
            "dstaddr" if self.natted => gateway(text),
            "dstaddr" | "pkt-dstaddr" if is_source => outside(text),
            "pkt-srcaddr" | "pkt-dstaddr" => inside(text),
            "srcport" => write!(text, "{}", self.port(is_source)),
            "dstport" => write!(text, "{}", self.port(!is_source)),
            "protocol" => write!(text, "{}", self.protocol),
            "packets" => write!(text, "{}", self.packets),
            "bytes" => write!(text, "{}", self.bytes),
            "start" => write!(text, "{}", self.start),
            "end" => write!(text, "{}", self.end),
            "action" => write!(text, "{}", if self.accepted { "ACCEPT" } else { "REJECT" }),
            "tcp-flags" => write!(text, "{}", if self.protocol == 6 { self.flags } else { 0 }),
            "log-status" => write!(text, "{}", if self.no_data { "NODATA" } else { "OK" }),
            "type" => write!(text, "IPv4"),
            "region" => write!(text, "{}", object.region),
            "az-id" => write!(text, "use1-az{}", 1 + interface % 3),
            "flow-direction" => write!(text, "{}", if self.outgoing { "egress" } else { "ingress" }),
            "traffic-path" if self.outgoing => write!(text, "{}", 1 + interface % 8),
            "pkt-src-aws-service" if !is_source && interface.is_multiple_of(3) => write!(text, "S3"),
            "pkt-dst-aws-service" if is_source && interface.is_multiple_of(3) => write!(text, "AMAZON"),
            _ => write!(text, "-"),
        };
        done.expect("a string takes all");
    }

    fn port(&self, of_inside: bool) -> u64 {
        match self.protocol {
            1 => 0,
            _ if of_inside => self.inside_port,
            _ => self.outside_port,
        }
    }
}
