//! `org.varlink.service`, the interface of every Varlink service: vendor, version, and the text of
//! its interfaces.

use common::wire::protocol;
use serde::Deserialize;
use serde_json::json;

use super::message::Message;
use super::replies::Stop;

/// Answers a method of `org.varlink.service`.
pub(super) fn answer(method: &str, message: &Message<'_>) -> Result<(), Stop> {
    match method {
        "GetInfo" => message.replies.reply(json!({
            "vendor": "pam-totp",
            "product": "provisiond",
            "version": env!("CARGO_PKG_VERSION"),
            "url": env!("CARGO_PKG_REPOSITORY"),
            "interfaces": [NAME, protocol::NAME],
        })),
        "GetInterfaceDescription" => {
            let InterfaceName { interface } = message.parameters()?;
            let description = match interface.as_str() {
                protocol::NAME => protocol::INTERFACE,
                NAME => INTERFACE,
                _ => return Err(Stop::Varlink(("InterfaceNotFound", "interface", interface))),
            };
            message.replies.reply(json!({ "description": description }))
        }
        _ => Err(message.unknown_method()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InterfaceName {
    interface: String,
}

pub(super) const NAME: &str = "org.varlink.service";
const INTERFACE: &str = "# Describes the service and its interfaces.
interface org.varlink.service

# Vendor, product, version and interfaces of the service.
method GetInfo() -> (vendor: string, product: string, version: string, url: string, interfaces: []string)

# The text that describes an interface.
method GetInterfaceDescription(interface: string) -> (description: string)

# There is no such interface.
error InterfaceNotFound (interface: string)

# The interface has no such method.
error MethodNotFound (method: string)

# The method is described but not there.
error MethodNotImplemented (method: string)

# A parameter cannot be read.
error InvalidParameter (parameter: string)

# The caller may not do this.
error PermissionDenied ()

# The method gives several replies: call it with 'more'.
error ExpectedMore (method: string)
";
