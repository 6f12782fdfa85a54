//! A connection: from its first bytes to its end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::access::Grants;
use super::amqp::frame::{self, Frame, Kind};
use super::amqp::performative::{self, ATTACH, BEGIN, CLOSE, END, OPEN};
use super::amqp::performative::{CHANNELS, Error, Outcome, Performative};
use super::amqp::read::Malformed;
use super::amqp::sasl::{self, Login};
use super::hub::Namespace;
use super::session::Session;
use super::shared::Shared;
use super::{CONTAINER, access, limits};

/// What a connection without SASL begins with, and what follows SASL.
const HEADER: [u8; 8] = *b"AMQP\x00\x01\x00\x00";
/// How long a peer may be silent: the service's (seen in its open, 2026-11).
pub(super) const IDLE: Duration = Duration::from_millis(240_000);
/// Bytes ready to be sent from which on nothing more is read: a peer that doesn't read gets no more answers.
const BACKLOG: usize = 1024 * 1024;
/// How long a peer has for the last bytes, and its own.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why a connection or a session ends.
#[derive(Debug)]
pub(super) enum Stop {
    /// The session, for this reason.
    End(Error),
    /// The connection, for this reason.
    Close(Error),
    /// The peer's close was answered.
    Closed,
    /// Without a word.
    Cut,
    /// Nothing more is read or written for this time, and then it ends without a word.
    HalfOpen(Duration),
}

impl From<Malformed> for Stop {
    fn from(Malformed(why): Malformed) -> Self {
        Stop::Close(Error::new(
            "amqp:connection:framing-error",
            format!("What came can't be read: {why}."),
        ))
    }
}

/// How far a connection has come.
#[derive(Debug, PartialEq, Eq)]
enum Phase {
    Header,
    Login,
    HeaderAfterLogin,
    Open,
    Running,
}

#[derive(Debug)]
struct Connection {
    shared: Shared,
    phase: Phase,
    sessions: BTreeMap<u16, Session>,
    /// Channels of sessions that we have ended and the peer hasn't yet: what it had under way comes to nothing.
    ended: BTreeSet<u16>,
    /// True if the namespace has all the connections that it may have.
    is_full: bool,
    /// How often the peer wants to hear something.
    heartbeat: Option<Duration>,
}

/// Serves one connection until either side ends it, or a fault does. One that `is_full` holds for is told so as it opens.
pub(super) async fn serve<S: AsyncRead + AsyncWrite>(
    stream: S,
    namespace: Arc<Namespace>,
    is_full: bool,
) {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut connection = Connection::new(namespace, is_full);
    let (mut input, mut out) = (BytesMut::new(), BytesMut::new());
    let (mut heard, mut said) = (Instant::now(), Instant::now());
    let wake = Arc::clone(&connection.shared.wake);
    let stop = loop {
        let wait = match connection.turn(&mut input, &mut out) {
            Ok(wait) => wait,
            Err(stop) => break stop,
        };
        let mut next = heard + IDLE;
        next = next.min(wait.map_or(next, |wait| Instant::now() + wait));
        next = next.min(connection.shared.due().unwrap_or(next));
        let end = connection.shared.grants.end_in();
        next = next.min(end.map_or(next, |end| Instant::now() + end));
        // While something waits to go out, that it goes is the sign of life.
        if out.is_empty() {
            next = next.min(connection.heartbeat.map_or(next, |every| said + every));
        }
        input.reserve(64 * 1024);
        tokio::select! {
            read = reader.read_buf(&mut input), if out.len() < BACKLOG => match read {
                Ok(0) | Err(_) => return,
                Ok(_) => heard = Instant::now(),
            },
            wrote = writer.write_buf(&mut out), if !out.is_empty() => match wrote {
                Ok(_) => said = Instant::now(),
                Err(_) => return,
            },
            () = wake.notified() => {}
            () = sleep_until(next) => {}
        }
        let now = Instant::now();
        if now >= heard + IDLE {
            let why = "The connection was inactive for more than the allowed 240000 milliseconds.";
            break Stop::Close(Error::new("amqp:connection:forced", why));
        }
        if connection
            .heartbeat
            .is_some_and(|every| now >= said + every)
            && out.is_empty()
        {
            frame::put(&mut out, Kind::Amqp, 0, |_| ());
        }
    };
    match &stop {
        Stop::Close(error) => {
            if connection.phase == Phase::Running || connection.phase == Phase::Open {
                frame::put(&mut out, Kind::Amqp, 0, |out| {
                    performative::close(out, Some(error));
                });
            }
            if error.condition != "amqp:connection:forced" && !connection.is_full {
                let counters = &connection.shared.namespace.counters;
                counters.add(|counts| counts.broken_connections += 1);
            }
        }
        Stop::HalfOpen(time) => {
            let _ = timeout(FAREWELL, writer.write_all_buf(&mut out)).await;
            sleep(*time).await;
            return;
        }
        Stop::End(_) | Stop::Closed | Stop::Cut => {}
    }
    // Sessions, and with them the readers' places, don't outlive the connection's end.
    drop(connection);
    // What was answered arrives: bytes that nobody has read would have the system throw away what is under way.
    let _ = timeout(FAREWELL, async {
        writer.write_all_buf(&mut out).await?;
        writer.shutdown().await?;
        loop {
            input.clear();
            input.reserve(64 * 1024);
            if reader.read_buf(&mut input).await? == 0 {
                return std::io::Result::Ok(());
            }
        }
    })
    .await;
}

impl Connection {
    fn new(namespace: Arc<Namespace>, is_full: bool) -> Self {
        Connection {
            shared: Shared::new(namespace),
            phase: Phase::Header,
            sessions: BTreeMap::new(),
            ended: BTreeSet::new(),
            is_full,
            heartbeat: None,
        }
    }

    /// Takes in what has come, and writes what there is to say. Tells how long nothing more can be sent, if that is so.
    fn turn(&mut self, input: &mut BytesMut, out: &mut BytesMut) -> Result<Option<Duration>, Stop> {
        while out.len() < BACKLOG {
            if matches!(self.phase, Phase::Header | Phase::HeaderAfterLogin) {
                if input.len() < HEADER.len() {
                    break;
                }
                let header = input.split_to(HEADER.len());
                self.header(&header, out)?;
                continue;
            }
            match frame::take(input)? {
                Some(frame) => self.frame(&frame, out)?,
                None => break,
            }
        }
        self.say_what_is_late(out);
        if self.shared.grants.expire() {
            for session in self.sessions.values_mut() {
                session.expire(&mut self.shared, out);
            }
        }
        let mut wait = None;
        for session in self.sessions.values_mut() {
            if let Some(time) = session.pump(&mut self.shared, out)? {
                wait = Some(wait.map_or(time, |other: Duration| other.min(time)));
            }
        }
        Ok(wait)
    }

    fn header(&mut self, header: &[u8], out: &mut BytesMut) -> Result<(), Stop> {
        if header == HEADER {
            out.extend_from_slice(&HEADER);
            self.phase = Phase::Open;
            return Ok(());
        }
        out.extend_from_slice(&sasl::HEADER);
        // Another protocol gets to know ours, and then the end (part 2, 2.2).
        if header != sasl::HEADER || self.phase != Phase::Header {
            return Err(Stop::Cut);
        }
        sasl::offer(out);
        self.phase = Phase::Login;
        Ok(())
    }

    fn frame(&mut self, frame: &Frame, out: &mut BytesMut) -> Result<(), Stop> {
        if frame.body.is_empty() {
            return Ok(());
        }
        let performative = Performative::read(&frame.body)?;
        match (frame.kind, &self.phase) {
            (Kind::Sasl, Phase::Login) => self.login(&performative, out),
            (Kind::Amqp, Phase::Open) => self.open(&performative, out),
            (Kind::Amqp, Phase::Running) => self.running(frame.channel, &performative, out),
            _ => Err(Malformed("a frame came out of turn").into()),
        }
    }

    fn login(&mut self, performative: &Performative, out: &mut BytesMut) -> Result<(), Stop> {
        let welcome = match sasl::login(performative)? {
            Login::Token => true,
            Login::Plain { name, key } if name == access::NAME && key == access::KEY => {
                self.shared.grants = Grants::all();
                true
            }
            Login::Plain { .. } | Login::Unknown => false,
        };
        sasl::outcome(out, welcome);
        if !welcome {
            let counters = &self.shared.namespace.counters;
            counters.add(|counts| counts.refused_tokens += 1);
            return Err(Stop::Cut);
        }
        self.phase = Phase::HeaderAfterLogin;
        Ok(())
    }

    fn open(&mut self, performative: &Performative, out: &mut BytesMut) -> Result<(), Stop> {
        if performative.code != OPEN {
            return Err(Malformed("something else came where an open was due").into());
        }
        let fields = performative.fields()?;
        let largest = fields.number(2)?.unwrap_or(u32::MAX);
        // 512 bytes are the least that a peer has to take (part 2, 2.7.1).
        self.shared.largest = largest.clamp(512, frame::LARGEST) as usize;
        let idle = fields.number(4)?.filter(|millis| *millis > 0);
        self.heartbeat = idle.map(|millis| Duration::from_millis(u64::from(millis / 2).max(1)));
        frame::put(out, Kind::Amqp, 0, |out| {
            let idle = u32::try_from(IDLE.as_millis()).unwrap_or(u32::MAX);
            performative::open(out, CONTAINER, frame::LARGEST, idle);
        });
        self.phase = Phase::Running;
        match self.is_full {
            true => Err(Stop::Close(Error::new(
                "amqp:resource-limit-exceeded",
                "The namespace has as many connections as it may have.",
            ))),
            false => Ok(()),
        }
    }

    fn running(
        &mut self,
        channel: u16,
        performative: &Performative,
        out: &mut BytesMut,
    ) -> Result<(), Stop> {
        match performative.code {
            CLOSE => {
                frame::put(out, Kind::Amqp, 0, |out| performative::close(out, None));
                Err(Stop::Closed)
            }
            BEGIN if channel > CHANNELS => {
                Err(Malformed("a channel is above those agreed upon").into())
            }
            BEGIN => {
                let session = Session::begin(channel, &performative.fields()?, out)?;
                self.ended.remove(&channel);
                match self.sessions.insert(channel, session) {
                    Some(_) => Err(Malformed("a session began twice").into()),
                    None => Ok(()),
                }
            }
            END if self.ended.remove(&channel) => Ok(()),
            _ if self.ended.contains(&channel) => Ok(()),
            END => {
                self.end(channel);
                frame::put(out, Kind::Amqp, channel, |out| performative::end(out, None));
                Ok(())
            }
            code => {
                let is_full = code == ATTACH && self.links() >= limits::LINKS;
                let session = self.sessions.get_mut(&channel);
                let session = session.ok_or(Malformed("a frame is of no session"))?;
                let done = match is_full {
                    true => Err(Stop::End(Error::new(
                        "amqp:resource-limit-exceeded",
                        format!("A connection has {} links at most.", limits::LINKS),
                    ))),
                    false => session.receive(performative, &mut self.shared, out),
                };
                match done {
                    Err(Stop::End(error)) => {
                        session.put(out, |out| performative::end(out, Some(&error)));
                        self.end(channel);
                        self.ended.insert(channel);
                        Ok(())
                    }
                    done => done,
                }
            }
        }
    }

    fn links(&self) -> usize {
        let sessions = self.sessions.values();
        sessions.map(|session| session.links.len()).sum()
    }

    fn end(&mut self, channel: u16) {
        if let Some(session) = self.sessions.remove(&channel) {
            for (handle, link) in &session.links {
                self.shared.forget((channel, *handle), link);
            }
        }
    }

    fn say_what_is_late(&mut self, out: &mut BytesMut) {
        let now = Instant::now();
        while let Some(late) = self.shared.pop_due(now) {
            let (channel, handle) = late.link;
            let Some(session) = self.sessions.get_mut(&channel) else {
                continue;
            };
            if let Some(id) = late.delivery {
                session.answer(out, id, &Outcome::Accepted);
            }
            session.refill(handle, &self.shared, out);
        }
    }
}
