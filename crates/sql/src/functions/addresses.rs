//! `ip_in(address, network)` and `is_private(address)`, of IPv4 and IPv6.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{ArrayRef, AsArray as _, BooleanArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, exec_datafusion_err, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use flowquet_format::{ADDRESS_BYTES, Network, address_bytes};

use super::{by_value, constant, texts};

/// The name of [`IpIn`].
pub(crate) const IP_IN: &str = "ip_in";

/// Networks whose addresses mean another host elsewhere: RFC 1918, RFC 4193.
static PRIVATE: LazyLock<Vec<Network>> = LazyLock::new(|| {
    let networks = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"];
    networks.map(|text| text.parse().expect("a network")).to_vec()
});

/// Reads a network as an argument has it.
///
/// # Errors
/// What was expected, in words.
pub(crate) fn network_of(text: &str) -> Result<Network> {
    text.parse().map_err(|what: String| exec_datafusion_err!("{IP_IN}: {what}"))
}

/// Whether an address is in a network. Null of null; false of what is no address.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct IpIn(Signature);

impl Default for IpIn {
    fn default() -> Self {
        Self(Signature::user_defined(Volatility::Immutable))
    }
}

impl ScalarUDFImpl for IpIn {
    fn name(&self) -> &str {
        IP_IN
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let [address, network] = arg_types else {
            return plan_err!("{IP_IN} takes an address and a network: {IP_IN}(srcaddr, '10.0.0.0/8')");
        };
        Ok(vec![address_type(IP_IN, address)?, text_type(IP_IN, network)?])
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        // A slip of the pen is told before anything is read.
        if let Some(Some(network)) = args.scalar_arguments.get(1)
            && let Some(text) = constant(network)
        {
            network_of(text)?;
        }
        Ok(Arc::new(Field::new(IP_IN, DataType::Boolean, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [address, network] = <[ColumnarValue; 2]>::try_from(args.args)
            .map_err(|_| exec_datafusion_err!("{IP_IN} takes an address and a network"))?;
        let addresses = address.into_array(args.number_rows)?;
        if let ColumnarValue::Scalar(network) = &network {
            let Some(text) = constant(network) else {
                return Ok(ColumnarValue::Array(Arc::new(BooleanArray::new_null(args.number_rows))));
            };
            let network = network_of(text)?;
            return Ok(ColumnarValue::Array(tested(&addresses, |address| network.contains(address))?));
        }
        let networks = texts(&network.into_array(args.number_rows)?)?;
        let networks = networks.as_string_view();
        let spelt = address_bytes_of(&addresses)?;
        let row = |(address, network): (Spelt, Option<&str>)| match (address, network) {
            (Spelt::Null, _) | (_, None) => Ok(None),
            (Spelt::Other, Some(network)) => network_of(network).map(|_| Some(false)),
            (Spelt::Address(address), Some(network)) => Ok(Some(network_of(network)?.contains(address))),
        };
        let found: Result<BooleanArray> = spelt.into_iter().zip(networks).map(row).collect();
        Ok(ColumnarValue::Array(Arc::new(found?)))
    }
}

/// Whether an address is one of [`PRIVATE`]. Null of null; false of what is no address.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct IsPrivate(Signature);

impl Default for IsPrivate {
    fn default() -> Self {
        Self(Signature::user_defined(Volatility::Immutable))
    }
}

impl ScalarUDFImpl for IsPrivate {
    fn name(&self) -> &str {
        "is_private"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let [address] = arg_types else {
            return plan_err!("is_private takes an address: is_private(srcaddr)");
        };
        Ok(vec![address_type(self.name(), address)?])
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(address) = args.args.into_iter().next() else {
            return exec_err!("is_private takes an address");
        };
        let addresses = address.into_array(args.number_rows)?;
        Ok(ColumnarValue::Array(tested(&addresses, |address| {
            PRIVATE.iter().any(|network| network.contains(address))
        })?))
    }
}

/// The type in which an argument comes: text of any kind, or the 16 bytes of a twin.
fn address_type(function: &str, given: &DataType) -> Result<DataType> {
    match given {
        DataType::FixedSizeBinary(bytes) if *bytes == ADDRESS_BYTES as i32 => Ok(given.clone()),
        DataType::Dictionary(_, values) => address_type(function, values).map(|_| given.clone()),
        _ => text_type(function, given),
    }
}

fn text_type(function: &str, given: &DataType) -> Result<DataType> {
    match given {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Ok(given.clone()),
        DataType::Null => Ok(DataType::Utf8View),
        other => plan_err!("{function} takes text, such as srcaddr, found {other}"),
    }
}

fn tested(addresses: &ArrayRef, test: impl Fn([u8; ADDRESS_BYTES]) -> bool) -> Result<ArrayRef> {
    by_value(addresses, |values| {
        let row = |spelt| match spelt {
            Spelt::Null => None,
            Spelt::Other => Some(false),
            Spelt::Address(address) => Some(test(address)),
        };
        let found: BooleanArray = address_bytes_of(values)?.into_iter().map(row).collect();
        Ok(Arc::new(found))
    })
}

/// What stands where an address should.
#[derive(Debug, Clone, Copy)]
enum Spelt {
    Address([u8; ADDRESS_BYTES]),
    Null,
    Other,
}

fn address_bytes_of(array: &ArrayRef) -> Result<Vec<Spelt>> {
    if let Some(dictionary) = array.as_any_dictionary_opt() {
        let values = address_bytes_of(dictionary.values())?;
        let keys = dictionary.normalized_keys();
        let row =
            |(i, key): (usize, usize)| if dictionary.keys().is_null(i) { Spelt::Null } else { values[key] };
        return Ok(keys.into_iter().enumerate().map(row).collect());
    }
    if let Some(bytes) = array.as_fixed_size_binary_opt() {
        let row = |value: Option<&[u8]>| match value {
            None => Spelt::Null,
            Some(value) => value.try_into().map_or(Spelt::Other, Spelt::Address),
        };
        return Ok(bytes.iter().map(row).collect());
    }
    let texts = texts(array)?;
    let row = |text: Option<&str>| match text {
        None => Spelt::Null,
        Some(text) => address_bytes(text).map_or(Spelt::Other, Spelt::Address),
    };
    Ok(texts.as_string_view().iter().map(row).collect())
}
