//! What a ComfyUI server says of a job while it works, over its WebSocket.

use super::server::Server;
use serde_json::Value;
use std::io::ErrorKind;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;
use tungstenite::client::IntoClientRequest as _;
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Message, WebSocket};

/// Until a connection stands.
const CONNECT: Duration = Duration::from_secs(5);

/// Something that happened to the job.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// This node is at work.
    Node(String),
    /// So far with the node that is at work.
    Step(u32, u32),
    /// It is over, well or badly; the history has the rest.
    Over,
    /// How it looks so far: a file's ending and its bytes.
    Preview(&'static str, Vec<u8>),
    /// A sign of life.
    Other,
}

pub(super) struct Socket {
    stream: WebSocket<MaybeTlsStream<TcpStream>>,
}

impl Socket {
    /// Connects as `client`; reads return after `tick` at the latest.
    pub(super) fn connect(server: &Server, client: &str, tick: Duration) -> Result<Self, String> {
        let (scheme, rest) = server.url.split_once("://").ok_or("its address has no scheme")?;
        let tls = scheme == "https";
        let address = format!("{}://{rest}/ws?clientId={client}", if tls { "wss" } else { "ws" });
        let mut request = address.into_client_request().map_err(|e| e.to_string())?;
        if let Some(authorization) = &server.authorization {
            let value = authorization.parse().map_err(|_| "its authorization is no header's value")?;
            request.headers_mut().insert("Authorization", value);
        }
        let host = request.uri().host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = request.uri().port_u16().unwrap_or(if tls { 443 } else { 80 });
        let addresses = (host.as_str(), port).to_socket_addrs().map_err(|e| e.to_string())?;
        let mut why = "its name has no address".to_owned();
        for address in addresses {
            match TcpStream::connect_timeout(&address, CONNECT) {
                Err(e) => why = e.to_string(),
                Ok(tcp) => {
                    tcp.set_read_timeout(Some(CONNECT)).map_err(|e| e.to_string())?;
                    tcp.set_nodelay(true).map_err(|e| e.to_string())?;
                    let (stream, _) = tungstenite::client_tls(request, tcp).map_err(|e| e.to_string())?;
                    let tcp = match stream.get_ref() {
                        MaybeTlsStream::Plain(tcp) => tcp,
                        MaybeTlsStream::Rustls(tls) => tls.get_ref(),
                        _ => return Err("it speaks a TLS that is not known".to_owned()),
                    };
                    tcp.set_read_timeout(Some(tick)).map_err(|e| e.to_string())?;
                    return Ok(Self { stream });
                }
            }
        }
        Err(why)
    }

    /// What is said next of job `id`; nothing within a tick, or nothing of this job.
    pub(super) fn next(&mut self, id: &str) -> Result<Option<Event>, String> {
        match self.stream.read() {
            Ok(Message::Text(text)) => Ok(serde_json::from_str(&text).ok().and_then(|said: Value| event(&said, id))),
            Ok(Message::Binary(bytes)) => Ok(preview(&bytes, id)),
            Ok(Message::Close(_)) => Err("it closed the connection".to_owned()),
            Ok(_) => Ok(None),
            Err(tungstenite::Error::Io(e)) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Ok(None)
            }
            Err(e) => Err(e.to_string()),
        }
    }
}

fn event(said: &Value, id: &str) -> Option<Event> {
    let data = said.get("data")?;
    if data.get("prompt_id").and_then(Value::as_str) != Some(id) {
        return None;
    }
    let count = |key| data.get(key).and_then(Value::as_f64).map_or(0, |number| number as u32);
    Some(match said.get("type").and_then(Value::as_str)? {
        "execution_success" | "execution_error" | "execution_interrupted" => Event::Over,
        "executing" => match data.get("node").and_then(Value::as_str) {
            Some(node) => Event::Node(node.to_owned()),
            None => Event::Over,
        },
        "progress" => Event::Step(count("value"), count("max")),
        _ => Event::Other,
    })
}

/// Big-endian: kind 1 is the picture's kind and the picture, kind 4 the length of a JSON text, it, and the picture.
fn preview(bytes: &[u8], id: &str) -> Option<Event> {
    let word = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?));
    let picture = match word(0)? {
        1 => bytes.get(8..)?,
        4 => {
            let end = 8usize.checked_add(usize::try_from(word(4)?).ok()?)?;
            let said: Value = serde_json::from_slice(bytes.get(8..end)?).ok()?;
            if said.get("prompt_id").and_then(Value::as_str).is_some_and(|of| of != id) {
                return None;
            }
            bytes.get(end..)?
        }
        _ => return None,
    };
    let ending = match picture {
        [0xff, 0xd8, ..] => "jpg",
        [0x89, b'P', b'N', b'G', ..] => "png",
        _ => return Some(Event::Other),
    };
    Some(Event::Preview(ending, picture.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn events_of_other_jobs_are_not_ours() {
        let said = |kind: &str, data: Value| event(&json!({ "type": kind, "data": data }), "a");
        assert_eq!(said("execution_success", json!({ "prompt_id": "b" })), None);
        assert_eq!(said("status", json!({ "status": {} })), None);
        assert_eq!(said("executing", json!({ "prompt_id": "a", "node": "7" })), Some(Event::Node("7".to_owned())));
        assert_eq!(said("executing", json!({ "prompt_id": "a", "node": null })), Some(Event::Over));
        assert_eq!(said("progress", json!({ "prompt_id": "a", "value": 3, "max": 20 })), Some(Event::Step(3, 20)));
    }

    #[test]
    fn previews_of_both_kinds_are_read_and_broken_ones_are_not() {
        let jpeg = [0xff, 0xd8, 0xff];
        let old: Vec<u8> = [1u32, 1].iter().flat_map(|word| word.to_be_bytes()).chain(jpeg).collect();
        assert_eq!(preview(&old, "a"), Some(Event::Preview("jpg", jpeg.to_vec())));
        let told = json!({ "prompt_id": "a" }).to_string();
        let head = [4u32, told.len() as u32];
        let new: Vec<u8> = head.iter().flat_map(|word| word.to_be_bytes()).chain(told.bytes()).chain(jpeg).collect();
        assert_eq!(preview(&new, "a"), Some(Event::Preview("jpg", jpeg.to_vec())));
        assert_eq!(preview(&new, "b"), None);
        assert_eq!(preview(&[0, 0, 0, 4, 255, 255, 255, 255, 1], "a"), None);
        assert_eq!(preview(&[0, 0], "a"), None);
    }
}
