//! WASI, answered with nothing.
//!
//! A language's standard library imports these interfaces whether a plugin uses them or not. No variables, no arguments,
//! closed input; output becomes log lines; both clocks stand at zero, so that a wait is over at once and nothing here can
//! block; random bytes are the same in every call. Resources carry no state: a handle is a number, and a guest that
//! hoards them fills its own table, which is bounded.

#![allow(unreachable_pub, reason = "the generated bindings re-export the resources")]

use crate::bindings::stub::wasi::{cli, clocks, io, random};
use crate::host::HostState;
use crate::limits::MAX_RANDOM_BYTES;
use io::streams::StreamError;
use wasmtime::Result;
use wasmtime::component::Resource;

/// A resource that is never handed out.
pub struct Never;
/// A pollable; always ready.
pub struct Ready;
/// An input stream; always at its end.
pub struct Closed;
/// An output stream.
pub struct Output;

const STDOUT: u32 = 1;
const STDERR: u32 = 2;
/// What a guest may write at once. Nothing is stored beyond one line.
const WRITE_BYTES: u64 = 64 * 1024;

impl io::error::Host for HostState {}
impl io::error::HostError for HostState {
    fn to_debug_string(&mut self, _: Resource<Never>) -> Result<String> {
        Ok(String::new())
    }
    fn drop(&mut self, _: Resource<Never>) -> Result<()> {
        Ok(())
    }
}

impl io::poll::Host for HostState {
    fn poll(&mut self, pollables: Vec<Resource<Ready>>) -> Result<Vec<u32>> {
        Ok((0u32..).zip(&pollables).map(|(i, _)| i).collect())
    }
}
impl io::poll::HostPollable for HostState {
    fn ready(&mut self, _: Resource<Ready>) -> Result<bool> {
        Ok(true)
    }
    fn block(&mut self, _: Resource<Ready>) -> Result<()> {
        Ok(())
    }
    fn drop(&mut self, _: Resource<Ready>) -> Result<()> {
        Ok(())
    }
}

impl io::streams::Host for HostState {}
impl io::streams::HostInputStream for HostState {
    fn read(&mut self, _: Resource<Closed>, _: u64) -> Result<Result<Vec<u8>, StreamError>> {
        Ok(Err(StreamError::Closed))
    }
    fn blocking_read(&mut self, _: Resource<Closed>, _: u64) -> Result<Result<Vec<u8>, StreamError>> {
        Ok(Err(StreamError::Closed))
    }
    fn skip(&mut self, _: Resource<Closed>, _: u64) -> Result<Result<u64, StreamError>> {
        Ok(Err(StreamError::Closed))
    }
    fn blocking_skip(&mut self, _: Resource<Closed>, _: u64) -> Result<Result<u64, StreamError>> {
        Ok(Err(StreamError::Closed))
    }
    fn subscribe(&mut self, _: Resource<Closed>) -> Result<Resource<Ready>> {
        Ok(Resource::new_own(0))
    }
    fn drop(&mut self, _: Resource<Closed>) -> Result<()> {
        Ok(())
    }
}
impl io::streams::HostOutputStream for HostState {
    fn check_write(&mut self, _: Resource<Output>) -> Result<Result<u64, StreamError>> {
        Ok(Ok(WRITE_BYTES))
    }
    fn write(&mut self, stream: Resource<Output>, bytes: Vec<u8>) -> Result<Result<(), StreamError>> {
        self.print(stream.rep() == STDERR, &bytes);
        Ok(Ok(()))
    }
    fn blocking_write_and_flush(
        &mut self,
        stream: Resource<Output>,
        bytes: Vec<u8>,
    ) -> Result<Result<(), StreamError>> {
        self.write(stream, bytes)
    }
    fn flush(&mut self, _: Resource<Output>) -> Result<Result<(), StreamError>> {
        Ok(Ok(()))
    }
    fn blocking_flush(&mut self, _: Resource<Output>) -> Result<Result<(), StreamError>> {
        Ok(Ok(()))
    }
    fn subscribe(&mut self, _: Resource<Output>) -> Result<Resource<Ready>> {
        Ok(Resource::new_own(0))
    }
    fn write_zeroes(&mut self, _: Resource<Output>, _: u64) -> Result<Result<(), StreamError>> {
        Ok(Ok(()))
    }
    fn blocking_write_zeroes_and_flush(&mut self, _: Resource<Output>, _: u64) -> Result<Result<(), StreamError>> {
        Ok(Ok(()))
    }
    fn splice(&mut self, _: Resource<Output>, _: Resource<Closed>, _: u64) -> Result<Result<u64, StreamError>> {
        Ok(Err(StreamError::Closed))
    }
    fn blocking_splice(
        &mut self,
        _: Resource<Output>,
        _: Resource<Closed>,
        _: u64,
    ) -> Result<Result<u64, StreamError>> {
        Ok(Err(StreamError::Closed))
    }
    fn drop(&mut self, _: Resource<Output>) -> Result<()> {
        Ok(())
    }
}

impl cli::environment::Host for HostState {
    fn get_environment(&mut self) -> Result<Vec<(String, String)>> {
        Ok(Vec::new())
    }
    fn get_arguments(&mut self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
    fn initial_cwd(&mut self) -> Result<Option<String>> {
        Ok(None)
    }
}
impl cli::exit::Host for HostState {
    fn exit(&mut self, status: Result<(), ()>) -> Result<()> {
        Err(wasmtime::Error::msg(format!("the plugin ended itself with {status:?} instead of answering")))
    }
    fn exit_with_code(&mut self, code: u8) -> Result<()> {
        Err(wasmtime::Error::msg(format!("the plugin ended itself with code {code} instead of answering")))
    }
}
impl cli::stdin::Host for HostState {
    fn get_stdin(&mut self) -> Result<Resource<Closed>> {
        Ok(Resource::new_own(0))
    }
}
impl cli::stdout::Host for HostState {
    fn get_stdout(&mut self) -> Result<Resource<Output>> {
        Ok(Resource::new_own(STDOUT))
    }
}
impl cli::stderr::Host for HostState {
    fn get_stderr(&mut self) -> Result<Resource<Output>> {
        Ok(Resource::new_own(STDERR))
    }
}
impl cli::terminal_input::Host for HostState {}
impl cli::terminal_input::HostTerminalInput for HostState {
    fn drop(&mut self, _: Resource<Never>) -> Result<()> {
        Ok(())
    }
}
impl cli::terminal_output::Host for HostState {}
impl cli::terminal_output::HostTerminalOutput for HostState {
    fn drop(&mut self, _: Resource<Never>) -> Result<()> {
        Ok(())
    }
}
impl cli::terminal_stdin::Host for HostState {
    fn get_terminal_stdin(&mut self) -> Result<Option<Resource<Never>>> {
        Ok(None)
    }
}
impl cli::terminal_stdout::Host for HostState {
    fn get_terminal_stdout(&mut self) -> Result<Option<Resource<Never>>> {
        Ok(None)
    }
}
impl cli::terminal_stderr::Host for HostState {
    fn get_terminal_stderr(&mut self) -> Result<Option<Resource<Never>>> {
        Ok(None)
    }
}

impl clocks::monotonic_clock::Host for HostState {
    fn now(&mut self) -> Result<u64> {
        Ok(0)
    }
    fn resolution(&mut self) -> Result<u64> {
        Ok(1)
    }
    fn subscribe_instant(&mut self, _: u64) -> Result<Resource<Ready>> {
        Ok(Resource::new_own(0))
    }
    fn subscribe_duration(&mut self, _: u64) -> Result<Resource<Ready>> {
        Ok(Resource::new_own(0))
    }
}
impl clocks::wall_clock::Host for HostState {
    fn now(&mut self) -> Result<clocks::wall_clock::Datetime> {
        Ok(clocks::wall_clock::Datetime { seconds: 0, nanoseconds: 0 })
    }
    fn resolution(&mut self) -> Result<clocks::wall_clock::Datetime> {
        Ok(clocks::wall_clock::Datetime { seconds: 0, nanoseconds: 1 })
    }
}

impl random::random::Host for HostState {
    fn get_random_bytes(&mut self, len: u64) -> Result<Vec<u8>> {
        if len > MAX_RANDOM_BYTES {
            return Err(wasmtime::Error::msg(format!(
                "{len} random bytes were asked for at once; {MAX_RANDOM_BYTES} are allowed"
            )));
        }
        let words = (0..len.div_ceil(8)).flat_map(|_| self.random.next().to_le_bytes());
        Ok(words.take(len as usize).collect())
    }
    fn get_random_u64(&mut self) -> Result<u64> {
        Ok(self.random.next())
    }
}
impl random::insecure::Host for HostState {
    fn get_insecure_random_bytes(&mut self, len: u64) -> Result<Vec<u8>> {
        random::random::Host::get_random_bytes(self, len)
    }
    fn get_insecure_random_u64(&mut self) -> Result<u64> {
        Ok(self.random.next())
    }
}
impl random::insecure_seed::Host for HostState {
    fn insecure_seed(&mut self) -> Result<(u64, u64)> {
        Ok((self.random.next(), self.random.next()))
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014). Its numbers are for hash tables; nothing here is a secret.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
