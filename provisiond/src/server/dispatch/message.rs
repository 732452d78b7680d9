//! One message of a caller: its parameters, and the way to reply.

use common::wire::protocol::{self, Error, Request, from_object};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::replies::{Replies, Stop};
use crate::identity::permission::Subject;

/// A message whose envelope was read.
pub(crate) struct Message<'a> {
    pub(crate) request: Request<'a>,
    pub(crate) replies: Replies<'a>,
}

impl Message<'_> {
    /// Parses the parameters, and sends the one reply that `handle` returns.
    pub(crate) fn answer<C>(
        &self,
        handle: impl FnOnce(&C) -> Result<C::Reply, Error>,
    ) -> Result<(), Stop>
    where
        C: protocol::MethodCall<Reply: Serialize> + DeserializeOwned,
    {
        let reply = handle(&self.parameters()?)?;
        self.replies.reply(reply)
    }

    /// The parameters of a call. Absent ones are those of an empty object.
    pub(crate) fn parameters<T: DeserializeOwned>(&self) -> Result<T, Error> {
        from_object(self.text()).map_err(|why| Error::bad("parameters", why))
    }

    /// The user that the call names. Unreadable parameters name none; the handler's own parsing
    /// then refuses them.
    pub(crate) fn subject(&self) -> Subject {
        from_object(self.text()).unwrap_or_default()
    }

    /// The interface and the method that the caller wrote.
    pub(crate) fn names(&self) -> (&str, &str) {
        let method = &*self.request.method;
        method.rsplit_once('.').unwrap_or(("", method))
    }

    pub(crate) fn unknown_method(&self) -> Stop {
        Stop::Varlink((
            "MethodNotFound",
            "method",
            self.request.method.clone().into_owned(),
        ))
    }

    fn text(&self) -> &[u8] {
        self.request
            .parameters
            .map_or("{}", RawValue::get)
            .as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::time::Duration;

    use super::*;

    #[test]
    fn whose_record_it_is_cannot_be_said_twice() {
        let twice = r#"{"method":"x","parameters":{"user":"alice","user":"root"}}"#;
        let stdin = std::io::stdin();
        let replies = Replies::within(stdin.as_fd(), Duration::ZERO);
        let message = Message {
            request: serde_json::from_str(twice).unwrap(),
            replies,
        };
        assert_eq!(message.subject().user, None);
        assert!(message.parameters::<protocol::Show>().is_err());
    }
}
