// SPDX-License-Identifier: Apache-2.0

// A go-libp2p node that is told what to do line by line: JSON commands on standard input, one JSON answer a line on
// standard output, the first of them {"peerId", "addrs"}. The commands are those of ../js/peer.mjs. Option --bitswap adds
// those of bitswap.go; with --quic the node speaks QUIC in place of TCP.
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multistream"
)

const (
	echoID  = protocol.ID("/echo/1.0.0")
	perfID  = protocol.ID("/perf/1.0.0")
	timeout = 60 * time.Second
)

type command struct {
	Cmd      string `json:"cmd"`
	Addr     string `json:"addr"`
	Peer     string `json:"peer"`
	Protocol string `json:"protocol"`
	Streams  int    `json:"streams"`
	Bytes    int    `json:"bytes"`
	Hash     string `json:"hash"`
	First    int    `json:"first"`
	Count    int    `json:"count"`
	Up       uint64 `json:"up"`
	Down     uint64 `json:"down"`
}

type answer map[string]any

type node struct {
	host   host.Host
	sub    event.Subscription
	blocks *exchange // nil without --bitswap
}

func echo(s network.Stream) {
	if _, err := io.Copy(s, s); err != nil {
		_ = s.Reset()
		return
	}
	_ = s.Close()
}

func perfServe(s network.Stream) {
	var head [8]byte
	if _, err := io.ReadFull(s, head[:]); err != nil {
		_ = s.Reset()
		return
	}
	if _, err := io.Copy(io.Discard, s); err != nil {
		_ = s.Reset()
		return
	}
	if err := sendZeros(s, binary.BigEndian.Uint64(head[:])); err != nil {
		_ = s.Reset()
		return
	}
	_ = s.Close()
}

func sendZeros(w io.Writer, count uint64) error {
	zeros := make([]byte, 65536)
	for count > 0 {
		n := min(count, uint64(len(zeros)))
		if _, err := w.Write(zeros[:n]); err != nil {
			return err
		}
		count -= n
	}
	return nil
}

func (n *node) open(ctx context.Context, c command, id protocol.ID) (network.Stream, error) {
	p, err := peer.Decode(c.Peer)
	if err != nil {
		return nil, err
	}
	return n.host.NewStream(ctx, p, id)
}

func (n *node) echoOnce(ctx context.Context, c command) error {
	s, err := n.open(ctx, c, echoID)
	if err != nil {
		return err
	}
	sent := make([]byte, c.Bytes)
	_, _ = rand.Read(sent)
	failed := make(chan error, 1)
	go func() {
		_, err := s.Write(sent)
		if err == nil {
			err = s.CloseWrite()
		}
		failed <- err
	}()
	back, err := io.ReadAll(s)
	if err = errors.Join(err, <-failed); err != nil {
		_ = s.Reset()
		return err
	}
	if !bytes.Equal(sent, back) {
		return fmt.Errorf("echo: %d of %d bytes came back, or others", len(back), len(sent))
	}
	return s.Close()
}

func (n *node) dial(ctx context.Context, c command) (answer, error) {
	addr, err := ma.NewMultiaddr(c.Addr)
	if err != nil {
		return nil, err
	}
	info, err := peer.AddrInfoFromP2pAddr(addr)
	if err != nil {
		return nil, err
	}
	if err := n.host.Connect(ctx, *info); err != nil {
		return nil, err
	}
	conn := n.host.Network().ConnsToPeer(info.ID)[0]
	state := conn.ConnState()
	return answer{"peer": info.ID.String(), "security": state.Security, "muxer": state.StreamMultiplexer, "transport": state.Transport}, nil
}

func (n *node) identified(ctx context.Context, c command) (answer, error) {
	p, err := peer.Decode(c.Peer)
	if err != nil {
		return nil, err
	}
	for {
		protocols, _ := n.host.Peerstore().GetProtocols(p)
		agent, _ := n.host.Peerstore().Get(p, "AgentVersion")
		if len(protocols) > 0 && agent != nil {
			signed := false
			if book, ok := peerstore.GetCertifiedAddrBook(n.host.Peerstore()); ok {
				signed = book.GetPeerRecord(p) != nil
			}
			addrs := []string{}
			for _, a := range n.host.Peerstore().Addrs(p) {
				addrs = append(addrs, a.String())
			}
			return answer{"protocols": protocols, "agent": agent, "signedRecord": signed, "addrs": addrs}, nil
		}
		select {
		case <-n.sub.Out():
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (n *node) echo(ctx context.Context, c command) (answer, error) {
	errs := make([]error, max(c.Streams, 1))
	var wg sync.WaitGroup
	for i := range errs {
		wg.Add(1)
		go func() {
			defer wg.Done()
			errs[i] = n.echoOnce(ctx, c)
		}()
	}
	wg.Wait()
	return answer{}, errors.Join(errs...)
}

func (n *node) perf(ctx context.Context, c command) (answer, error) {
	s, err := n.open(ctx, c, perfID)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	if err := binary.Write(s, binary.BigEndian, c.Down); err != nil {
		return nil, err
	}
	if err := sendZeros(s, c.Up); err != nil {
		return nil, err
	}
	if err := s.CloseWrite(); err != nil {
		return nil, err
	}
	got, err := io.Copy(io.Discard, s)
	if err != nil {
		return nil, err
	}
	if uint64(got) != c.Down {
		return nil, fmt.Errorf("perf: %d of %d bytes came back", got, c.Down)
	}
	return answer{"seconds": time.Since(start).Seconds()}, s.Close()
}

// New connections, each until the first ping is back, by the transport alone: nothing else of the host takes part on this side.
func (n *node) connects(ctx context.Context, c command) (answer, error) {
	addr, err := ma.NewMultiaddr(c.Addr)
	if err != nil {
		return nil, err
	}
	info, err := peer.AddrInfoFromP2pAddr(addr)
	if err != nil {
		return nil, err
	}
	dialer := n.host.Network().(*swarm.Swarm).TransportForDialing(info.Addrs[0])
	took := []float64{}
	for range c.Count {
		start := time.Now()
		conn, err := dialer.Dial(ctx, info.Addrs[0], info.ID)
		if err != nil {
			return nil, err
		}
		if err := firstPing(ctx, conn); err != nil {
			return nil, err
		}
		took = append(took, float64(time.Since(start).Nanoseconds())/1e3)
		_ = conn.Close()
	}
	slices.Sort(took)
	return answer{"p50_us": took[len(took)/2], "p95_us": took[len(took)*95/100]}, nil
}

func firstPing(ctx context.Context, conn network.MuxedConn) error {
	s, err := conn.OpenStream(ctx)
	if err != nil {
		return err
	}
	if _, err := multistream.SelectOneOf([]protocol.ID{ping.ID}, s); err != nil {
		return err
	}
	var sent, back [32]byte
	_, _ = rand.Read(sent[:])
	if _, err := s.Write(sent[:]); err != nil {
		return err
	}
	if _, err := io.ReadFull(s, back[:]); err != nil {
		return err
	}
	if sent != back {
		return errors.New("ping: other bytes came back")
	}
	return nil
}

func (n *node) reset(ctx context.Context, c command) (answer, error) {
	for range max(c.Streams, 1) {
		s, err := n.open(ctx, c, echoID)
		if err != nil {
			return nil, err
		}
		if _, err := s.Write(make([]byte, 1000)); err != nil {
			return nil, err
		}
		if err := s.Reset(); err != nil {
			return nil, err
		}
	}
	c.Bytes = 1000
	return answer{}, n.echoOnce(ctx, c)
}

func (n *node) run(c command) (answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	switch c.Cmd {
	case "dial":
		return n.dial(ctx, c)
	case "connections":
		list := []answer{}
		for _, conn := range n.host.Network().Conns() {
			list = append(list, answer{"peer": conn.RemotePeer().String(), "security": conn.ConnState().Security})
		}
		return answer{"connections": list}, nil
	case "identified":
		return n.identified(ctx, c)
	case "register":
		n.host.SetStreamHandler(protocol.ID(c.Protocol), echo)
		return answer{}, nil
	case "ping":
		p, err := peer.Decode(c.Peer)
		if err != nil {
			return nil, err
		}
		result := <-ping.Ping(ctx, n.host, p)
		return answer{"ms": float64(result.RTT.Microseconds()) / 1000}, result.Error
	case "echo":
		return n.echo(ctx, c)
	case "reset":
		return n.reset(ctx, c)
	case "unsupported":
		s, err := n.open(ctx, c, "/no/such/protocol/1.0.0")
		if err == nil {
			_ = s.Reset()
			return nil, errors.New("a protocol that does not exist was accepted")
		}
		return answer{"refused": err.Error()}, nil
	case "perf":
		return n.perf(ctx, c)
	case "connects":
		return n.connects(ctx, c)
	case "hangup":
		p, err := peer.Decode(c.Peer)
		if err != nil {
			return nil, err
		}
		return answer{}, n.host.Network().ClosePeer(p)
	case "stop":
		return answer{}, n.host.Close()
	}
	if n.blocks != nil {
		return n.blocks.run(ctx, c)
	}
	return nil, fmt.Errorf("no command %q", c.Cmd)
}

func main() {
	options := []libp2p.Option{
		libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.DisableRelay(),
	}
	if len(os.Args) > 1 && os.Args[1] == "--quic" {
		options = append(options,
			libp2p.ListenAddrStrings("/ip4/127.0.0.1/udp/0/quic-v1"),
			libp2p.Transport(libp2pquic.NewTransport),
		)
	} else {
		options = append(options,
			libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"),
			libp2p.Transport(tcp.NewTCPTransport),
			libp2p.Security(noise.ID, noise.New),
			libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
		)
	}
	h, err := libp2p.New(options...)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	sub, err := h.EventBus().Subscribe(new(event.EvtPeerIdentificationCompleted))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	h.SetStreamHandler(echoID, echo)
	h.SetStreamHandler(perfID, perfServe)
	addrs := []string{}
	for _, a := range h.Addrs() {
		addrs = append(addrs, fmt.Sprintf("%s/p2p/%s", a, h.ID()))
	}
	out := json.NewEncoder(os.Stdout)
	_ = out.Encode(answer{"peerId": h.ID().String(), "addrs": addrs})

	n := &node{host: h, sub: sub}
	if slices.Contains(os.Args, "--bitswap") {
		n.blocks = newExchange(context.Background(), h)
	}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var c command
		reply, err := answer(nil), json.Unmarshal(in.Bytes(), &c)
		if err == nil {
			reply, err = n.run(c)
		}
		if err != nil {
			reply = answer{"ok": false, "error": err.Error()}
		} else {
			reply["ok"] = true
		}
		_ = out.Encode(reply)
		if c.Cmd == "stop" {
			return
		}
	}
}
