//! Any bytes as a manifest, as the `manifest.json` of an inventory, or as the rows of one: objects add up, and each is taken once.

use flowquet_sources::Source;
use flowquet_store::{Location, Memory, Store};
use flowquet_testkit::gzip;

use super::world::{convert_into, key, log, stores};

const INVENTORY: &str = r#"{"sourceBucket":"logs","destinationBucket":"arn:aws:s3:::logs","version":"2016-11-30","fileFormat":"CSV",
"fileSchema":"Bucket, Key, Size, ETag, IsLatest, IsDeleteMarker","files":[{"key":"lists/rows.csv.gz","size":9}]}"#;

/// Behind a first byte that chooses what it is.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let (a, b) = (key(1, 15, 1), key(1, 15, 2));
    let lines = format!("# logs\ns3://logs/{a}\n\ns3://logs/{b}\r\ns3://logs/{a}\n");
    let row = |key: &str| {
        format!(
            "\"logs\",\"{}\",\"{}\",\"\",\"true\",\"false\"\n",
            key.replace('=', "%3D"),
            log(3, true).len()
        )
    };
    let texts = [(0, lines), (1, INVENTORY.to_owned()), (2, format!("{}{}{}", row(&a), row(&b), row(&a)))];
    texts.into_iter().map(|(kind, text)| [&[kind], text.as_bytes()].concat()).collect()
}

pub(super) fn run(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    let (logs, lake) = (Memory::new("s3://logs"), Memory::new("s3://lake"));
    let put = |key: &str, bytes: &[u8]| logs.put(key, bytes).expect("memory takes all");
    put(&key(1, 15, 1), log(3, true).as_bytes());
    put(&key(1, 15, 2), log(3, true).as_bytes());
    let row = format!("logs,{},{}\n", key(1, 15, 1), log(3, true).len());
    match kind % 3 {
        0 => put("lists/m", bytes),
        1 => {
            put("lists/m", bytes);
            put("lists/rows.csv.gz", &gzip(row.as_bytes()));
        }
        _ => {
            put("lists/m", INVENTORY.as_bytes());
            put("lists/rows.csv.gz", &gzip(bytes));
        }
    }
    let is_of_disk =
        bytes.windows(5).any(|w| w == b"file:") || kind.is_multiple_of(3) && !is_of_bucket(bytes);
    if is_of_disk {
        // What a manifest names is read, and this machine's files are nobody's business here.
        return;
    }
    let manifest = Source::Manifest(Location::parse("s3://logs/lists/m").expect("a location"));
    match convert_into(&lake, &stores(&logs), manifest) {
        Ok(run) => {
            let (objects, counts) = (&run.summary.objects, &run.summary.counts);
            assert!(objects.balances(), "{objects:?}");
            // There are two, the manifest and the rows.
            assert!(objects.converted <= 4, "{objects:?}");
            assert!(counts.balances(), "{counts:?}");
        }
        Err(error) => assert!(error.to_string().len() > 8, "{error:?}"),
    }
}

/// Whether all lines that are read name something in a bucket.
fn is_of_bucket(text: &[u8]) -> bool {
    text.split(|b| *b == b'\n').all(|line| {
        let line = String::from_utf8_lossy(line);
        let line = line.trim();
        line.is_empty() || line.starts_with('#') || line.starts_with("s3://logs/")
    })
}
