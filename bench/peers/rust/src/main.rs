// SPDX-License-Identifier: Apache-2.0

//! A rust-libp2p node that is told what to do line by line: JSON commands on standard input, one JSON answer a line on standard output,
//! the first of them {"peerId", "addrs"}. The commands are those of tests/interop/go that benchmarks use. With --quic the node
//! speaks QUIC in place of TCP.

use std::error::Error;
use std::future::poll_fn;
use std::io::{BufRead, Write};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures::future::{Either, select};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use libp2p::core::muxing::{StreamMuxerBox, StreamMuxerExt};
use libp2p::core::transport::{Boxed, DialOpts, PortUse};
use libp2p::core::{Endpoint, upgrade};
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{NetworkBehaviour, StreamProtocol, Swarm, SwarmEvent};
use libp2p::{Multiaddr, PeerId, SwarmBuilder, Transport};
use libp2p::{identify, noise, ping, quic, tcp, yamux};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

const PERF: StreamProtocol = StreamProtocol::new("/perf/1.0.0");
const CHUNK: usize = 1 << 16;
const DAY: Duration = Duration::from_secs(24 * 3600);

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;
type Dial = (Multiaddr, oneshot::Sender<Result<()>>);

#[derive(NetworkBehaviour)]
struct Behaviour {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    stream: libp2p_stream::Behaviour,
}

struct Node {
    transport: Boxed<(PeerId, StreamMuxerBox)>, // of its own, to dial without a host
    streams: libp2p_stream::Control,
    dials: mpsc::Sender<Dial>,
}

async fn send_zeros(stream: &mut (impl AsyncWrite + Unpin), count: u64) -> Result<()> {
    let zeros = vec![0; CHUNK];
    let mut left = count;
    while left > 0 {
        let len = left.min(CHUNK as u64) as usize;
        stream.write_all(&zeros[..len]).await?;
        left -= len as u64;
    }
    Ok(())
}

async fn drain(stream: &mut (impl AsyncRead + Unpin)) -> Result<u64> {
    let mut space = vec![0; CHUNK];
    let mut got = 0;
    loop {
        match stream.read(&mut space).await? {
            0 => return Ok(got),
            len => got += len as u64,
        }
    }
}

async fn perf_serve(mut stream: libp2p::Stream) -> Result<()> {
    let mut head = [0; 8];
    stream.read_exact(&mut head).await?;
    drain(&mut stream).await?;
    send_zeros(&mut stream, u64::from_be_bytes(head)).await?;
    Ok(stream.close().await?)
}

async fn perf(
    streams: &mut libp2p_stream::Control,
    peer: PeerId,
    up: u64,
    down: u64,
) -> Result<Value> {
    let mut stream = streams.open_stream(peer, PERF).await?;
    let start = Instant::now();
    stream.write_all(&down.to_be_bytes()).await?;
    send_zeros(&mut stream, up).await?;
    stream.close().await?; // our half only
    let got = drain(&mut stream).await?;
    if got != down {
        return Err(format!("perf: {got} of {down} bytes came back").into());
    }
    Ok(json!({"seconds": start.elapsed().as_secs_f64()}))
}

async fn first_ping(stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<()> {
    let (_, mut stream) = multistream_select::dialer_select_proto(
        stream,
        [ping::PROTOCOL_NAME],
        upgrade::Version::V1,
    )
    .await?;
    let (sent, mut back) = ([7; 32], [0; 32]);
    stream.write_all(&sent).await?;
    stream.flush().await?;
    stream.read_exact(&mut back).await?;
    if sent == back {
        Ok(())
    } else {
        Err("ping: other bytes came back".into())
    }
}

/// A new connection until its first ping is back; then it is closed.
async fn connect(
    transport: &mut Boxed<(PeerId, StreamMuxerBox)>,
    addr: &Multiaddr,
) -> Result<Duration> {
    let start = Instant::now();
    let options = DialOpts {
        role: Endpoint::Dialer,
        port_use: PortUse::New,
    };
    let (_, mut muxer) = transport.dial(addr.clone(), options)?.await?;
    let stream = poll_fn(|cx| match muxer.poll_unpin(cx) {
        Poll::Ready(Err(err)) => Poll::Ready(Err(err)),
        _ => muxer.poll_outbound_unpin(cx),
    })
    .await?;
    let driven = poll_fn(|cx| match muxer.poll_unpin(cx) {
        Poll::Ready(Err(err)) => Poll::Ready(err),
        _ => Poll::Pending,
    });
    match select(pin!(first_ping(stream)), pin!(driven)).await {
        Either::Left((done, _)) => done?,
        Either::Right((err, _)) => return Err(err.into()),
    }
    let took = start.elapsed();
    poll_fn(|cx| muxer.poll_close_unpin(cx)).await?;
    Ok(took)
}

/// New connections by the transport alone: nothing else of the host takes part on this side.
async fn connects(
    transport: &mut Boxed<(PeerId, StreamMuxerBox)>,
    addr: &Multiaddr,
    count: u64,
) -> Result<Value> {
    let mut took = Vec::new();
    for _ in 0..count {
        took.push(connect(transport, addr).await?.as_secs_f64() * 1e6);
    }
    took.sort_by(f64::total_cmp);
    Ok(json!({"p50_us": took[took.len() / 2], "p95_us": took[took.len() * 95 / 100]}))
}

impl Node {
    async fn dial(&self, addr: Multiaddr) -> Result<Value> {
        let (tell, told) = oneshot::channel();
        self.dials.send((addr, tell)).await?;
        told.await??;
        Ok(json!({}))
    }

    async fn run(&mut self, line: &str) -> Result<Value> {
        let command: Value = serde_json::from_str(line)?;
        let text = |name: &str| command[name].as_str().unwrap_or_default();
        let number = |name: &str| command[name].as_u64().unwrap_or_default();
        match text("cmd") {
            "dial" => self.dial(text("addr").parse()?).await,
            "perf" => {
                perf(
                    &mut self.streams,
                    text("peer").parse()?,
                    number("up"),
                    number("down"),
                )
                .await
            }
            "connects" => {
                connects(&mut self.transport, &text("addr").parse()?, number("count")).await
            }
            other => Err(format!("no command {other}").into()),
        }
    }
}

/// Drive the swarm; dials come one at a time.
async fn drive(mut swarm: Swarm<Behaviour>, mut dials: mpsc::Receiver<Dial>) {
    let mut waiting: Option<oneshot::Sender<Result<()>>> = None;
    loop {
        let result = tokio::select! {
            event = swarm.select_next_some() => match event {
                SwarmEvent::ConnectionEstablished { endpoint, .. } if endpoint.is_dialer() => Ok(()),
                SwarmEvent::OutgoingConnectionError { error, .. } => Err(error.into()),
                _ => continue,
            },
            dial = dials.recv() => {
                let Some((addr, tell)) = dial else { return };
                waiting = Some(tell);
                match swarm.dial(addr) {
                    Ok(()) => continue,
                    Err(err) => Err(err.into()),
                }
            }
        };
        if let Some(tell) = waiting.take() {
            let _ = tell.send(result);
        }
    }
}

async fn serve(mut incoming: libp2p_stream::IncomingStreams) {
    while let Some((_, stream)) = incoming.next().await {
        tokio::spawn(perf_serve(stream));
    }
}

fn transport_make(key: &Keypair, by_quic: bool) -> Result<Boxed<(PeerId, StreamMuxerBox)>> {
    if by_quic {
        let quic = quic::tokio::Transport::new(quic::Config::new(key));
        return Ok(quic
            .map(|(peer, conn), _| (peer, StreamMuxerBox::new(conn)))
            .boxed());
    }
    Ok(tcp::tokio::Transport::new(tcp::Config::default())
        .upgrade(upgrade::Version::V1Lazy)
        .authenticate(noise::Config::new(key)?)
        .multiplex(yamux::Config::default())
        .boxed())
}

async fn start(by_quic: bool) -> Result<Node> {
    let key = Keypair::generate_ed25519();
    let transport = transport_make(&key, by_quic)?;
    let mut swarm = SwarmBuilder::with_existing_identity(key.clone())
        .with_tokio()
        .with_other_transport(|key| transport_make(key, by_quic))?
        .with_behaviour(|key| Behaviour {
            identify: identify::Behaviour::new(identify::Config::new(
                "/ipfs/0.1.0".into(),
                key.public(),
            )),
            ping: ping::Behaviour::default(),
            stream: libp2p_stream::Behaviour::new(),
        })?
        .with_swarm_config(|config| config.with_idle_connection_timeout(DAY))
        .build();
    let mut streams = swarm.behaviour().stream.new_control();
    tokio::spawn(serve(streams.accept(PERF)?));
    swarm.listen_on(
        if by_quic {
            "/ip4/127.0.0.1/udp/0/quic-v1"
        } else {
            "/ip4/127.0.0.1/tcp/0"
        }
        .parse()?,
    )?;
    let addr = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            break address.with(Protocol::P2p(*swarm.local_peer_id()));
        }
    };
    tell(&json!({"peerId": swarm.local_peer_id().to_string(), "addrs": [addr]}));
    let (dials, dials_in) = mpsc::channel(1);
    tokio::spawn(drive(swarm, dials_in));
    Ok(Node {
        transport,
        streams,
        dials,
    })
}

fn tell(answer: &Value) {
    let mut out = std::io::stdout();
    writeln!(out, "{answer}")
        .and_then(|()| out.flush())
        .expect("nobody reads the answers");
}

fn main() -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let mut node = runtime.block_on(start(std::env::args().any(|arg| arg == "--quic")))?;
    for line in std::io::stdin().lock().lines() {
        let answer = match runtime.block_on(node.run(&line?)) {
            Ok(mut answer) => {
                answer["ok"] = true.into();
                answer
            }
            Err(err) => json!({"ok": false, "error": err.to_string()}),
        };
        tell(&answer);
    }
    Ok(())
}
