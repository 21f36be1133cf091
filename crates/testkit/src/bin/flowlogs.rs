//! Makes up flow logs in AWS's key layout, for tests, benchmarks and the sample.
//!
//! `flowlogs OUT --format blog --objects 96 --records 100000 --accounts 1 --seed 1 [--no-header] [--plain] [--every-s 300]
//! [--records-min 500] [--vpcs 2] [--subnets 6] [--flows-a-nat 12]`
//!
//! With `--records-min` objects have different numbers of records, up to `--records`: as many of each order of magnitude.

#![expect(clippy::disallowed_methods, reason = "a test tool that writes the files it makes up")]

use std::path::PathBuf;

use flowquet_testkit::generate::{BLOG_FORMAT, Object, Random, Traffic, V2_FORMAT, V5_FORMAT};
use flowquet_testkit::gzip;

/// Delivery time of the first object: 2024-01-15T00:00:00Z.
const FIRST_DELIVERY_S: i64 = 1_705_276_800;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let out = args.next().filter(|out| !out.starts_with('-'));
    let out = PathBuf::from(out.ok_or("expected a folder to write to, before any option")?);
    let (mut format, mut objects, mut records, mut accounts, mut seed, mut every_s) =
        (V2_FORMAT, 12, 1000, 1, 1u64, 300);
    let (mut header, mut plain) = (true, false);
    let (mut records_min, mut traffic) = (None, Traffic::default());
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("expected a value after {arg}"));
        match arg.as_str() {
            "--format" => {
                format = match value()?.as_str() {
                    "blog" => BLOG_FORMAT,
                    "v2" => V2_FORMAT,
                    "v5" => V5_FORMAT,
                    other => return Err(format!("expected blog, v2 or v5, found {other}").into()),
                }
            }
            "--objects" => objects = value()?.parse()?,
            "--records" => records = value()?.parse()?,
            "--accounts" => accounts = value()?.parse()?,
            "--seed" => seed = value()?.parse()?,
            "--every-s" => every_s = value()?.parse()?,
            "--records-min" => records_min = Some(value()?.parse::<usize>()?),
            "--vpcs" => traffic.vpcs = value()?.parse()?,
            "--subnets" => traffic.subnets = value()?.parse()?,
            "--flows-a-nat" => traffic.flows_a_nat = value()?.parse()?,
            "--no-header" => header = false,
            "--plain" => plain = true,
            other => return Err(format!("unknown option {other}").into()),
        }
    }
    let regions = ["us-east-1", "eu-central-1"];
    for i in 0..objects {
        let account_index = i % accounts;
        let delivered_s = FIRST_DELIVERY_S + i / accounts * every_s;
        let mut random = Random::new(seed ^ (i as u64) << 20);
        let records = records_min.map_or(records, |least| {
            let share = random.below(1 << 20) as f64 / f64::from(1 << 20);
            (least as f64 * (records as f64 / least as f64).powf(share)) as usize
        });
        let object = Object {
            account: 111_111_111_111 + 11_111_111 * account_index as u64,
            region: regions[account_index as usize % regions.len()],
            delivered_s,
            records,
            format,
            header,
            traffic,
        };
        let time = jiff::Timestamp::from_second(delivered_s)?.to_string();
        let (date, clock) = (&time[..10], &time[11..16]);
        let name = format!(
            "{:012}_vpcflowlogs_{}_fl-{:017x}_{}T{}Z_{:08x}.log{}",
            object.account,
            object.region,
            0x0abc_def0_1234_5678_u64 + account_index as u64,
            date.replace('-', ""),
            clock.replace(':', ""),
            random.bits() as u32,
            if plain { "" } else { ".gz" },
        );
        let folder = out.join(format!(
            "AWSLogs/{:012}/vpcflowlogs/{}/{}",
            object.account,
            object.region,
            date.replace('-', "/")
        ));
        std::fs::create_dir_all(&folder)?;
        let text = object.text(random.bits());
        std::fs::write(folder.join(name), if plain { text.into_bytes() } else { gzip(text.as_bytes()) })?;
    }
    Ok(())
}
